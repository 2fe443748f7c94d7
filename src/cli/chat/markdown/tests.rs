//! That Markdown reads as it was meant, and that how it comes changes nothing.

use proptest::prelude::*;

use super::*;

fn shown(text: &str, width: usize) -> Vec<String> {
    let mut document = Document::default();
    let mut rows = Vec::new();
    for line in text.split('\n') {
        rows.extend(document.rows(line, true, width));
        document.end_line(line);
    }
    rows.iter()
        .map(|row| row.iter().map(|cell| cell.shown).collect())
        .collect()
}

fn styled(line: &str, word: &str) -> Style {
    let rows = Document::default().rows(line, true, 200);
    let text: String = rows[0].iter().map(|cell| cell.shown).collect();
    let at = text.find(word).expect("the word is there");
    rows[0][text[..at].chars().count()].style
}

#[test]
fn markers_become_styles() {
    assert!(styled("a **bold** word", "bold").bold);
    assert!(styled("an *italic* word", "italic").italic);
    assert!(styled("some `code` here", "code").code);
    assert!(styled("~~gone~~", "gone").struck);
    assert!(styled("## A heading", "heading").bold);
    assert!(styled("[here](http://a/)", "here").underlined);
    assert_eq!(styled("plain", "plain"), Style::PLAIN);
    for (line, expected) in [
        ("a **bold** and *italic* `code`", "a bold and italic code"),
        ("# A heading #", "A heading"),
        ("- one", "• one"),
        ("  * two", "  • two"),
        ("12. three", "12. three"),
        ("> said", "│ said"),
        (
            "a * b * c and snake_case_name",
            "a * b * c and snake_case_name",
        ),
        ("`**kwargs`", "**kwargs"),
        (r"\*not\* this", "*not* this"),
        ("[here](http://a/)", "here (http://a/)"),
        ("<http://a/>", "http://a/"),
        ("1 < 2 &amp; <b>", "1 < 2 & <b>"),
        ("    indented", "    indented"),
        ("#hashtag", "#hashtag"),
        ("text\r", "text"),
        ("", ""),
    ] {
        assert_eq!(shown(line, 80), [expected], "{line:?}");
    }
}

#[test]
fn fenced_code_is_left_as_it_is() {
    let text = "```rust\nlet **a** = `b`;\n# no heading\n```\n**after**";
    let expected = [
        "```rust",
        "let **a** = `b`;",
        "# no heading",
        "```",
        "after",
    ];
    assert_eq!(shown(text, 80), expected);
}

#[test]
fn long_lines_are_broken_between_words() {
    assert_eq!(shown("one two three", 8), ["one two", "three"]);
    assert_eq!(shown("- one two three", 9), ["• one two", "  three"]);
    assert_eq!(shown("> one two three", 9), ["│ one two", "│ three"]);
    assert_eq!(shown("abcdefghijkl", 5), ["abcde", "fghij", "kl"]);
    assert_eq!(shown("日本語の文", 4), ["日本", "語の", "文"]);
}

#[test]
fn nothing_that_a_terminal_obeys_gets_through() {
    let attack = "\x1b]0;title\x07 **\x1b[2J** `\u{9b}5m` &#27;[31m [a](http://b/\x1b)";
    let all = shown(attack, 200).concat();
    assert!(all.chars().all(|c| !c.is_control()), "{all:?}");
    assert!(all.contains("␛[31m"), "{all:?}");
}

#[test]
fn what_is_open_is_shown_as_if_it_were_closed() {
    for (begun, expected) in [
        ("a **bo", "a bo"),
        ("a **bold", "a bold"),
        ("a `co", "a co"),
        ("a *b", "a b"),
        ("an ***over", "an over"),
    ] {
        let rows = Document::default().rows(begun, false, 80);
        let text: String = rows[0].iter().map(|cell| cell.shown).collect();
        assert_eq!(text, expected, "{begun:?}");
    }
}

proptest! {
    #[test]
    fn plain_words_are_all_there(words in prop::collection::vec("[a-z]{1,12}", 1..40), width in 4_usize..60) {
        let text = words.join(" ");
        let rows = shown(&text, width);
        for row in &rows {
            prop_assert!(row.chars().count() <= width);
        }
        let squeezed = |text: &str| text.replace(' ', "");
        prop_assert_eq!(squeezed(&rows.concat()), squeezed(&text));
    }

    /// Styles take no text away but markers.
    #[test]
    fn only_markers_are_taken_away(text in "[a-c *_`~#>.\\-]{0,40}") {
        let all = shown(&text, 200).concat();
        let letters = |text: &str| text.chars().filter(char::is_ascii_lowercase).collect::<String>();
        prop_assert_eq!(letters(&all), letters(&text));
    }

    #[test]
    fn any_text_can_be_shown(text: String, width in 0_usize..30) {
        let all = shown(&text, width).concat();
        prop_assert!(all.chars().all(|c| !c.is_control()));
    }
}
