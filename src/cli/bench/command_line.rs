//! The command line as it was given, so that whoever reads a report can do the same again.

use std::borrow::Cow;
use std::fmt::Write as _;

use clap::CommandFactory as _;
use clap::parser::ValueSource;

use crate::cli::Cli;

/// In a shell's words, without the program's path. `url` is what follows no `--option`, and may hold a key in its
/// query: that is left out. It is added where a variable named it. A token is no argument.
pub(super) fn command_line(words: &[String], url: &str) -> String {
    let added = (!names_url(words)).then_some(url);
    let mut line = "tailrace".to_owned();
    for word in words.iter().skip(1).map(String::as_str).chain(added) {
        let word = match url.split_once('?') {
            Some((bare, _key)) if word == url => Cow::Owned(format!("{bare}?...")),
            _ => Cow::Borrowed(word),
        };
        let _infallible = write!(line, " {}", quoted(&word));
    }
    line
}

/// Whether the URL is one of these words: an option may have the same value.
fn names_url(words: &[String]) -> bool {
    let matches = Cli::command().try_get_matches_from(words).ok();
    let source = matches.and_then(|all| all.subcommand_matches("bench")?.value_source("url"));
    source == Some(ValueSource::CommandLine)
}

/// One word of a shell.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,%@+".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_understands_it_and_no_key_is_in_it() {
        let of = |words: &[&str], url: &str| {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            command_line(&words, url)
        };
        let words = ["/opt/tailrace", "bench", "http://a:1/v1", "--rate", "20/s"];
        assert_eq!(
            of(&words, "http://a:1/v1"),
            "tailrace bench http://a:1/v1 --rate 20/s"
        );
        let words = ["t", "bench", "--prompt", "it's $HOME", "--model", ""];
        assert_eq!(
            of(&words, "http://a"),
            r"tailrace bench --prompt 'it'\''s $HOME' --model '' http://a"
        );
        // An option with the same value does not name it.
        let words = ["t", "bench", "--readers", "2", "--readers-url", "http://a"];
        assert_eq!(
            of(&words, "http://a"),
            "tailrace bench --readers 2 --readers-url http://a http://a"
        );
        let url = "http://a/feed?key=hidden";
        assert_eq!(
            of(&["t", "bench", url], url),
            "tailrace bench 'http://a/feed?...'"
        );
    }
}
