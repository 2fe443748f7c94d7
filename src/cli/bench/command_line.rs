//! The command line as it was given, so that whoever reads a report can do the same again.

use std::fmt::Write as _;

/// In a shell's words, without the program's path. `url` is what follows no `--option`, and may hold a key in its
/// query: that is left out. A token is no argument.
pub(super) fn command_line(arguments: impl Iterator<Item = String>, url: &str) -> String {
    let mut line = "tailrace".to_owned();
    for argument in arguments.skip(1) {
        let argument = match url.split_once('?') {
            Some((bare, _key)) if argument == url => format!("{bare}?..."),
            _ => argument,
        };
        let _infallible = write!(line, " {}", quoted(&argument));
    }
    line
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
        let of =
            |words: &[&str], url: &str| command_line(words.iter().map(ToString::to_string), url);
        let words = ["/opt/tailrace", "bench", "http://a:1/v1", "--rate", "20/s"];
        assert_eq!(
            of(&words, "http://a:1/v1"),
            "tailrace bench http://a:1/v1 --rate 20/s"
        );
        let words = ["t", "bench", "--prompt", "it's $HOME", "--token-file", ""];
        assert_eq!(
            of(&words, "http://a"),
            r"tailrace bench --prompt 'it'\''s $HOME' --token-file ''"
        );
        let url = "http://a/feed?key=hidden";
        assert_eq!(
            of(&["t", "bench", url], url),
            "tailrace bench 'http://a/feed?...'"
        );
    }
}
