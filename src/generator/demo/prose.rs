//! What the demo says: a few paragraphs about the prompt, cut into pieces as a tokenizer would.

use sha2::{Digest as _, Sha256};

use super::{Text, markdown};
use crate::generator::{Message, Prompt, Role};

/// Sentences about the topic, which stands at `{}`.
const ON_TOPIC: [&str; 14] = [
    "Ask ten people about {} and you will hear eleven opinions, most of them over coffee.",
    "What strikes a newcomer about {} is how much of it happens out of sight.",
    "The old books say little about {}, which is a pity, because the margins are full of it.",
    "There are two schools of thought on {}: those who measure first, and those who wish they had.",
    "Take {} apart and you find smaller questions, each with its own patient keeper.",
    "Nobody hurries {}; it arrives in pieces, and the pieces arrive in order.",
    "If {} had a sound, it would be water leaving a mill: steady, cold, and already on its way.",
    "The trick with {} is to begin before you are ready and to stop before you are sure.",
    "A good map of {} leaves the interesting parts blank on purpose.",
    "Every account of {} agrees on the beginning; it is the middle that people argue about.",
    "One does not solve {}; one keeps it company until it gives up its reasons.",
    "It helps to say {} aloud, slowly, and to notice which word you would rather skip.",
    "Engineers like {} because it fails in ways that can be written down.",
    "On a clear day {} looks simple from a distance, and the distance is the simple part.",
];

/// Sentences about what this server does.
const ASIDES: [&str; 8] = [
    "(You may close this window now; the sentence will wait for you.)",
    "Each of these words has a number, and none of the numbers is missing.",
    "A tailrace carries the water away from the wheel, so that the wheel can go on turning.",
    "Were the line cut here, you would come back to exactly this comma, and then the rest.",
    "No model was troubled for this answer: it comes from a demonstration generator.",
    "Somewhere a counter went up by one, and somewhere else a reader was none the wiser.",
    "Streams are polite: they tell you when they end, and they only say it once.",
    "The same question gets the same answer here, which is rarer than it should be.",
];

const ENDINGS: [&str; 3] = [
    "That is as far as a demonstration can take {}. Put a real model behind the wheel for more.",
    "And that, for now, is all there is to say about {}.",
    "Ask again with another `seed`, and {} will come out differently.",
];

const THOUGHTS: [&str; 4] = [
    "The question is about {}; where to begin? ",
    "Perhaps with what everybody notices about {} first. ",
    "Keep it short, keep it true, and mention the water. ",
    "A good answer on {} ends before the reader does. ",
];

/// Pieces that careless framing, escaping or decoding gets wrong. The emoji is one picture made of
/// several code points, and they come as separate tokens.
const AWKWARD: [&str; 24] = [
    "carriage\rreturn",
    "line\nfeed",
    "both\r\n\r\n",
    "\u{2028}",
    "\u{2029}",
    "nul\0byte",
    "\u{7f}",
    "\u{85}",
    "\u{9f}",
    "quote\"",
    "back\\slash",
    "data: not an event\n\n",
    "\t",
    "\u{1F9D1}",
    "\u{200d}",
    "\u{1F680}",
    "e",
    "\u{301}",
    "\u{feff}",
    ":comment\n",
    "</script>",
    "\u{10ffff}",
    "\u{1b}[31m",
    " ",
];

/// The text of one answer, piece by piece.
pub(super) struct Prose {
    topic: String,
    random: Random,
    style: Text,
    /// How many pieces are still to come, if the number was asked for.
    left: Option<u32>,
    /// How many pieces came so far.
    taken: usize,
    /// How many sentences were made so far.
    sentences: usize,
    pieces: Pieces,
    thoughts: Pieces,
}

impl Prose {
    pub(super) fn new(prompt: &Prompt, style: Text, tokens: Option<u32>) -> Self {
        let question = prompt
            .messages
            .iter()
            .rfind(|message| message.role == Role::User)
            .or(prompt.messages.last())
            .map(Message::text)
            .unwrap_or_default();
        let mut hasher = Sha256::new();
        for message in &prompt.messages {
            hasher.update(message.text().as_bytes());
            hasher.update([0]);
        }
        hasher.update(prompt.seed.unwrap_or_default().to_be_bytes());
        let digest: [u8; 32] = hasher.finalize().into();
        let seed = digest
            .first_chunk()
            .map_or(0, |bytes| u64::from_be_bytes(*bytes));
        let mut prose = Self {
            topic: topic(&question),
            random: Random(seed),
            style,
            left: tokens,
            taken: 0,
            sentences: 0,
            pieces: Pieces::default(),
            thoughts: Pieces::default(),
        };
        if matches!(style, Text::Prose | Text::Markdown) && tokens.is_none() {
            // The text is short, and a stop sequence may lie across sentences, so it is made whole.
            prose.pieces = Pieces::of(prose.compose(&prompt.stop));
        }
        prose
    }

    /// The next piece of the answer.
    pub(super) fn next(&mut self) -> Option<String> {
        let endless = self.left.is_some();
        match &mut self.left {
            Some(0) => return None,
            Some(left) => *left -= 1,
            None => {}
        }
        let at = self.taken;
        self.taken += 1;
        match self.style {
            Text::Prose | Text::Markdown => self.pieces.next().or_else(|| {
                if endless {
                    let more = match self.style {
                        Text::Markdown => self.document() + "\n\n",
                        _ => self.sentence(),
                    };
                    self.pieces = Pieces::of(more);
                }
                self.pieces.next()
            }),
            Text::Awkward => {
                (endless || at < AWKWARD.len()).then(|| AWKWARD[at % AWKWARD.len()].to_owned())
            }
            Text::Huge => (endless || at == 0).then(|| "0123456789abcdef".repeat(200 * 64)),
        }
    }

    /// The next piece of reasoning.
    pub(super) fn thought(&mut self) -> String {
        self.thoughts.next().unwrap_or_else(|| {
            let sentence = self.random.choose(&THOUGHTS).replace("{}", &self.topic);
            self.thoughts = Pieces::of(sentence);
            self.thoughts.next().unwrap_or_default()
        })
    }

    /// Makes the whole answer and cuts it at the first stop sequence.
    fn compose(&mut self, stop: &[String]) -> String {
        let mut text = match self.style {
            Text::Markdown => self.document(),
            _ => self.paragraphs(),
        };
        let stop = stop.iter().filter_map(|stop| text.find(stop.as_str()));
        if let Some(end) = stop.min() {
            text.truncate(end);
        }
        text
    }

    /// Three paragraphs on the topic.
    fn paragraphs(&mut self) -> String {
        let mut text = format!("You asked about {}. ", self.topic);
        let mut pool: Vec<&str> = ON_TOPIC.to_vec();
        for paragraph in 0..3 {
            for _ in 0..3 {
                let sentence = pool.swap_remove(self.random.below(pool.len()));
                text.push_str(&sentence.replace("{}", &self.topic));
                text.push(' ');
            }
            if paragraph < 2 {
                text.push_str(self.random.choose(&ASIDES));
                text.push_str("\n\n");
            }
        }
        text.push_str(&self.random.choose(&ENDINGS).replace("{}", &self.topic));
        text
    }

    /// The same in Markdown.
    fn document(&mut self) -> String {
        let mut pool: Vec<&str> = ON_TOPIC.to_vec();
        let Self { topic, random, .. } = self;
        markdown::document(topic, || {
            let sentence = pool.swap_remove(random.below(pool.len()));
            sentence.replace("{}", topic)
        })
    }

    /// Makes one more sentence of an answer whose length was asked for.
    fn sentence(&mut self) -> String {
        self.sentences += 1;
        let sentence = if self.sentences.is_multiple_of(4) {
            self.random.choose(&ASIDES).to_owned()
        } else {
            self.random.choose(&ON_TOPIC).replace("{}", &self.topic)
        };
        let end = if self.sentences.is_multiple_of(4) {
            "\n\n"
        } else {
            " "
        };
        sentence + end
    }
}

/// The words that a question is about: without its polite beginning and its punctuation.
fn topic(question: &str) -> String {
    const OPENINGS: [&str; 17] = [
        "and ",
        "please ",
        "tell me about ",
        "what is ",
        "what are ",
        "who is ",
        "why is ",
        "why are ",
        "why do ",
        "how do i ",
        "how do ",
        "how does ",
        "write about ",
        "write ",
        "explain ",
        "describe ",
        "can you ",
    ];
    let first_line = question.lines().find(|line| !line.trim().is_empty());
    let mut text = first_line.unwrap_or("nothing at all").trim();
    while let Some(rest) = OPENINGS.iter().find_map(|opening| {
        let head = text.get(..opening.len())?;
        head.eq_ignore_ascii_case(opening)
            .then(|| &text[opening.len()..])
    }) {
        text = rest.trim_start();
    }
    let text = text.trim_matches(|c: char| c.is_ascii_punctuation() || c.is_whitespace());
    let words: Vec<&str> = text.split_whitespace().take(8).collect();
    let topic: String = words.join(" ").chars().take(60).collect();
    if topic.is_empty() {
        "nothing at all".to_owned()
    } else {
        topic
    }
}

/// A text that is cut into pieces as they are taken, so that a waiting answer costs its text.
#[derive(Default)]
struct Pieces {
    text: String,
    at: usize,
}

impl Pieces {
    const fn of(text: String) -> Self {
        Self { text, at: 0 }
    }
}

impl Iterator for Pieces {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let rest = &self.text[self.at..];
        let piece = &rest[..piece_length(rest)];
        self.at += piece.len();
        (!piece.is_empty()).then(|| piece.to_owned())
    }
}

/// Where the first piece ends, as a tokenizer might have it: a word with the space before it, line
/// ends and punctuation for themselves, long words in two.
fn piece_length(text: &str) -> usize {
    const LONG: usize = 11;
    let mut before = None;
    for (number, (at, character)) in text.char_indices().enumerate() {
        let boundary = match (before, character) {
            (None, _) | (Some('\n'), '\n') => false,
            (Some('\n'), _) | (_, ' ' | '\n' | '.' | ',' | ';' | ':' | '?' | '(' | ')') => true,
            _ => number > LONG,
        };
        if boundary {
            return at;
        }
        before = Some(character);
    }
    text.len()
}

/// SplitMix64 (Steele, Lea and Flood, 2014): small, and the same in every version of every crate.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap_or(0)
    }

    fn choose<'a>(&mut self, pool: &[&'a str]) -> &'a str {
        pool[self.below(pool.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics() {
        for (question, expected) in [
            ("Tell me about lighthouse keepers.", "lighthouse keepers"),
            ("please explain  quicksort!", "quicksort"),
            ("", "nothing at all"),
            ("???", "nothing at all"),
            ("\n\nwhy is the sky blue?", "the sky blue"),
            ("WHAT IS ünïcode?", "ünïcode"),
        ] {
            assert_eq!(topic(question), expected);
        }
    }

    #[test]
    fn pieces_join_to_the_text() {
        let text = "One, two; internationalisation.\n\nNew paragraph (with brackets) ";
        assert_eq!(Pieces::of(text.to_owned()).collect::<String>(), text);
        assert!(Pieces::of(text.to_owned()).count() > 12);
    }
}
