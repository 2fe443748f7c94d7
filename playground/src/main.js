/** The page: makes its parts and brings them together. */

import { Tailrace } from '../client/index.js';
import { Composer } from './composer.js';
import { askForToken, openDialog, showShortcuts } from './dialogs.js';
import { part, setText } from './dom.js';
import { Drafts } from './drafts.js';
import { drawer } from './drawing.js';
import { showExamples } from './examples.js';
import { listenForKeys } from './keys.js';
import { ModelPicker } from './models.js';
import { EndFollower } from './scroll.js';
import { Session } from './session.js';
import { Settings } from './settings.js';
import { Sidebar } from './sidebar.js';
import { Store } from './store.js';
import { startTheme } from './theme.js';
import { Thread } from './thread.js';
import { TokenSource } from './token.js';

/** How often a countdown is drawn. */
const TICK_MS = 250;

startTheme();
const store = await Store.open();
const unkept = part('unkept', HTMLElement);
unkept.hidden = !store.failed;
store.onfailure = () => (unkept.hidden = false);
const tokens = new TokenSource(askForToken);
const client = new Tailrace({ token: () => tokens.next(), share: true });
const settings = new Settings();
const drafts = new Drafts();
const picker = new ModelPicker(client);
const end = new EndFollower();

/** The prompt that is being edited. @type {import('./model.js').Prompt | null} */
let editing = null;

const parameters = () => ({
  model: picker.model,
  isDemo: picker.isDemo,
  system: settings.system,
  fields: (/** @type {Record<string, string>} */ more) => settings.fields(more),
});

const session = new Session(client, store, parameters, {
  conversation: showConversation,
  answer: (answer) => drawSoon(answer),
  sent: () => end.follow(),
  ended: ({ status, finish }) =>
    status === 'done' && finish !== 'cancelled' ? composer.release() : composer.hold(),
});

const thread = new Thread({
  regenerate: (answer) => session.regenerate(answer),
  retry: (answer) => session.retry(answer),
  choose: (message) => session.choose(message),
  edit: (prompt) => {
    editing = prompt;
    composer.edit(prompt.text);
  },
});

const composer = new Composer({
  send: (text) => send(text, {}),
  stop: () => void session.running?.stop(),
  cut: () => session.running?.cut(),
  leaveEditing,
  written: (text) => (drafts.text = text),
});

const sidebar = new Sidebar(store, {
  open: (id) => void open(id),
  deleted: (id) => {
    session.forget(id);
    drafts.forget(id);
    if (id === session.current) void open(null);
  },
});

/** @type {Set<import('./model.js').Answer>} */
const changed = new Set();
const drawAll = drawer(draw);

/**
 * Draws an answer with the next picture, however many of its tokens come until then.
 *
 * @param {import('./model.js').Answer} answer
 */
function drawSoon(answer) {
  changed.add(answer);
  drawAll();
}

function draw() {
  const answers = [...changed];
  changed.clear();
  for (const answer of answers) thread.update(answer, session.runs.get(answer.id));
  showControls();
  end.settle();
}

function showControls() {
  const run = session.running;
  composer.set(run !== undefined, run?.link.state === 'open' && run.answer.seq >= 0);
}

/** What is shown is another conversation, or consists of something else. */
function showConversation() {
  if (editing && !session.messages.some(({ id }) => id === editing?.id)) leaveEditing();
  thread.show(session.messages, session.runs, (message) => session.versions(message));
  showControls();
  const { title, current } = session;
  setText(part('title', HTMLElement), title || 'New conversation');
  document.title = title ? `${title} · Tailrace` : 'Tailrace';
  document.body.classList.toggle('is-empty', session.messages.length === 0);
  if (current !== null && location.hash !== `#${current}`) history.pushState(null, '', `#${current}`);
  void sidebar.mark(current, session.busy);
  end.settle();
}

/**
 * @param {string} text
 * @param {Record<string, string>} knobs
 */
function send(text, knobs) {
  void picker.load();
  if (settings.isWrong) {
    settings.showWrong();
    return false;
  }
  const draft = drafts.text;
  if (!session.send(text, { knobs, instead: editing })) return false;
  // What is written beside that moves with it, from a conversation that had not begun.
  drafts.text = '';
  drafts.current = session.current;
  drafts.text = draft;
  leaveEditing();
  return true;
}

function leaveEditing() {
  editing = null;
  composer.leaveEditing(drafts.text);
}

/** @param {string | null} id */
async function open(id) {
  leaveEditing();
  drafts.current = id;
  composer.write(drafts.text);
  if (id === null && location.hash !== '') history.pushState(null, '', location.pathname);
  await session.open(id);
  end.follow();
  // On a phone the focus would open the keyboard over what is to be read.
  if (!matchMedia('(pointer: coarse)').matches) composer.focus();
}

function answerAgain() {
  const last = session.messages.at(-1);
  if (last?.role === 'assistant') session.regenerate(last);
}

picker.onchange = () => {
  settings.isDemo = picker.isDemo;
  showExamples(picker.isDemo, send);
};

window.addEventListener('popstate', () => void open(location.hash.slice(1) || null));
part('shortcuts-open', HTMLButtonElement).addEventListener('click', showShortcuts);
listenForKeys({
  '/': () => composer.focus(),
  '?': showShortcuts,
  'Alt+N': () => void open(null),
  'Alt+K': () => sidebar.search(),
  'Alt+P': () => openDialog(part('settings', HTMLDialogElement)),
  'Alt+S': () => void session.running?.stop(),
  'Alt+X': () => session.running?.cut(),
  'Alt+R': answerAgain,
});
setInterval(() => {
  const run = session.running;
  if (run?.link.state === 'waiting') drawSoon(run.answer);
}, TICK_MS);

showExamples(true, send);
// Who was faster than this has written something already.
drafts.current = location.hash.slice(1) || null;
drafts.text = composer.text || drafts.text;
// A conversation that cannot be shown must not keep the rest of the page from starting.
await open(location.hash.slice(1) || null).catch(reportError);
await picker.load();
