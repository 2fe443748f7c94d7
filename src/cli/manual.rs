//! What `--help` and the manual pages say beside the options: once, for both.

use std::fmt::Write as _;

/// One of the parts after the options.
pub(super) struct Part {
    pub(super) title: &'static str,
    /// What is explained, and the explanation.
    pub(super) entries: &'static [(&'static str, &'static str)],
}

const SERVE_STATUS: Part = Part {
    title: "Exit status",
    entries: &[
        (
            "0",
            "It was told to stop, and every stream had its end: by itself, or with server_stopping \
             when the drain time was over.",
        ),
        ("1", "A second signal stopped it at once."),
        (
            "2",
            "A mistake in the arguments or the configuration, or it could not start.",
        ),
    ],
};

const STATUS: Part = Part {
    title: "Exit status",
    entries: &[
        ("0", "It was done."),
        ("2", "A mistake in the arguments or the configuration."),
    ],
};

const CHAT_STATUS: Part = Part {
    title: "Exit status",
    entries: &[
        ("0", "The answer is whole."),
        (
            "1",
            "The generation failed; standard error says why, and whether trying again may help.",
        ),
        ("2", "A mistake in the arguments or the configuration."),
        (
            "3",
            "The server refuses the request (its token, the model, a field).",
        ),
        (
            "4",
            "The server could not be reached or resumed in time, or has lost the generation.",
        ),
        (
            "5",
            "What was generated is there, but is no whole answer: the most tokens were reached, a \
             filter cut it, the model refuses, or somebody else cancelled it.",
        ),
        (
            "6",
            "The answer cannot be written where standard output leads, a full disk for one; the \
             generation was cancelled.",
        ),
        ("130", "Cancelled with Ctrl-C."),
        (
            "141",
            "Nobody reads standard output any more; the generation was cancelled.",
        ),
    ],
};

const SETTINGS: (&str, &str) = (
    "TAILRACE_*",
    "Settings of the configuration, which win over its file: TAILRACE_BIND=127.0.0.1:9000, and with \
     two underscores for each section, TAILRACE_HTTP__HEARTBEAT=2s.",
);

const CONFIG: (&str, &str) = ("TAILRACE_CONFIG", "The configuration file, as --config.");

const DEVELOPMENT_KEY: (&str, &str) = (
    "$XDG_STATE_HOME/tailrace/development.key",
    "The signing key of a server that was given none: this user's. Whichever of serve, token and chat \
     needs it first makes it, so that a token made before the server starts is good too. \
     $XDG_STATE_HOME is ~/.local/state if unset.",
);

const SERVER_ENVIRONMENT: Part = Part {
    title: "Environment",
    entries: &[CONFIG, SETTINGS],
};

const SERVER_FILES: Part = Part {
    title: "Files",
    entries: &[DEVELOPMENT_KEY],
};

const CHAT: &[Part] = &[
    CHAT_STATUS,
    Part {
        title: "Environment",
        entries: &[
            ("TAILRACE_URL", "The server's base URL, as --url."),
            (
                "TAILRACE_TOKEN",
                "The token, unless there is a --token-file.",
            ),
            (
                "NO_COLOR, CLICOLOR, CLICOLOR_FORCE, TERM",
                "Whether there are styles: none with NO_COLOR or TERM=dumb, also in pipes with \
                 CLICOLOR_FORCE.",
            ),
            (
                "SSL_CERT_FILE, SSL_CERT_DIR",
                "Whose certificates are trusted for https URLs.",
            ),
        ],
    },
    Part {
        title: "Files",
        entries: &[
            (
                "$XDG_STATE_HOME/tailrace/conversations/NAME.json",
                "Conversations, readable for their owner only. One without a name is last.json, and is \
                 replaced by the next one.",
            ),
            (
                "$XDG_STATE_HOME/tailrace/chat_history",
                "The lines of earlier conversations.",
            ),
            DEVELOPMENT_KEY,
        ],
    },
    Part {
        title: "Examples",
        entries: &[
            (
                "tailrace chat \"Tell me about lighthouse keepers\"",
                "Asks the server on this machine.",
            ),
            (
                "git diff | tailrace chat \"Write a commit message\"",
                "Adds what is piped to the prompt.",
            ),
            (
                "tailrace chat --continue \"Shorter, please\"",
                "Goes on with the last conversation.",
            ),
            ("tailrace chat", "Begins a conversation."),
            (
                "tailrace chat --json hello | jq -r 'select(.type == \"token\").text'",
                "Works with the events.",
            ),
        ],
    },
];

const BENCH: &[Part] = &[
    Part {
        title: "Exit status",
        entries: &[
            (
                "0",
                "Nothing was wrong in what came. The report says whether anything is missing.",
            ),
            (
                "1",
                "Something was wrong: streams or requests failed, events were lost or came twice, or no token \
                 came at all. The report says what.",
            ),
            ("2", "A mistake in the arguments or the configuration."),
            (
                "3",
                "The server refuses the request (its token, the model, a field).",
            ),
            ("4", "There is no server, or none that streams events."),
            (
                "130",
                "Ended with Ctrl-C; nothing was wrong until then, and there is a report.",
            ),
        ],
    },
    Part {
        title: "Environment",
        entries: &[
            ("TAILRACE_URL", "The server, if no URL is given."),
            (
                "TAILRACE_TOKEN",
                "The token, unless there is a --token-file.",
            ),
            (
                "SSL_CERT_FILE, SSL_CERT_DIR",
                "Whose certificates are trusted for https URLs.",
            ),
        ],
    },
    SERVER_FILES,
    Part {
        title: "Examples",
        entries: &[
            (
                "tailrace bench",
                "100 streams for 30 seconds, of the server on this machine.",
            ),
            (
                "tailrace bench --rate 50/s --duration 2m --pid \"$(pidof tailrace)\" --html report.html",
                "Starts 50 streams each second, whatever becomes of them, watches the server's process and \
                 draws what happened.",
            ),
            (
                "tailrace bench --streams 500 --cuts 30% --slow-readers 10% --cancel 10%",
                "Readers as they are in the world.",
            ),
            (
                "tailrace bench http://127.0.0.1:11434/v1 --api openai --model llama3.2 --streams 4",
                "Any server that speaks OpenAI's API.",
            ),
        ],
    },
];

/// What stands after the options of a command.
pub(super) fn parts(command: &str) -> &'static [Part] {
    match command {
        "bench" => BENCH,
        "chat" => CHAT,
        "token" | "check" => &[STATUS, SERVER_ENVIRONMENT, SERVER_FILES],
        "completions" | "man" => &[STATUS],
        _ => &[SERVE_STATUS, SERVER_ENVIRONMENT, SERVER_FILES],
    }
}

/// The same as `--help` has it.
pub(super) fn help(command: &str) -> String {
    let mut help = String::new();
    for part in parts(command) {
        let _infallible = writeln!(help, "{}:", part.title);
        let longest = part.entries.iter().map(|(term, _)| term.len()).max();
        let beside = longest.unwrap_or_default() <= 8;
        for (term, text) in part.entries {
            let _infallible = if beside {
                write!(help, "  {term:<5}")
            } else {
                writeln!(help, "  {term}")
            };
            let indent = if beside { 7 } else { 10 };
            let mut at = if beside { 7 } else { 0 };
            for word in text.split(' ') {
                if at == 0 || at + word.len() > 80 {
                    help.truncate(help.trim_end_matches(' ').len());
                    let line_end = if at == 0 { "" } else { "\n" };
                    let _infallible = write!(help, "{line_end}{:indent$}", "");
                    at = indent;
                }
                let _infallible = write!(help, "{word} ");
                at += word.len() + 1;
            }
            help.truncate(help.trim_end().len());
            help.push('\n');
        }
        help.push('\n');
    }
    help.truncate(help.trim_end().len());
    help
}
