//! How likely the tokens of an answer were, as the upstream says it: JSON that nobody here reads.

use serde::Deserialize;
use serde_json::value::RawValue;

/// A JSON object in the words of OpenAI's chat completions, on one line: `content` and `refusal` are
/// lists with an object for each token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logprobs(Box<str>);

/// The lists, whose items may come in several events.
#[derive(Deserialize)]
struct Lists<'a> {
    #[serde(borrow)]
    content: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    refusal: Option<Vec<&'a RawValue>>,
}

impl Logprobs {
    /// What an upstream says; nothing if that is no object.
    #[must_use]
    pub fn new(json: &RawValue) -> Option<Self> {
        let json = json.get();
        // Line ends between members would be line ends of an event. Inside of strings there are none.
        let json: Box<str> = if json.bytes().any(|byte| byte < b' ') {
            json.replace(|c: char| c < ' ', "").into()
        } else {
            json.into()
        };
        json.starts_with('{').then_some(Self(json))
    }

    /// The object; or, if it is longer than so many bytes, several with parts of its lists. What
    /// cannot be parted so is left out: another member, or a single item that is longer by itself.
    pub(super) fn pieces(&self, max_bytes: usize) -> Vec<String> {
        if length(&self.0) <= max_bytes {
            return vec![self.0.to_string()];
        }
        let Ok(lists) = serde_json::from_str::<Lists<'_>>(&self.0) else {
            return Vec::new();
        };
        let mut pieces = Vec::new();
        for (name, items) in [("content", lists.content), ("refusal", lists.refusal)] {
            let head = format!("{{\"{name}\":[");
            let mut piece = head.clone();
            // Each item brings a comma, or the brackets at the end.
            let room = max_bytes.saturating_sub(head.len() + 2);
            let mut left = room;
            for item in items.into_iter().flatten().map(RawValue::get) {
                let needed = length(item) + 1;
                if needed > left {
                    close(&mut pieces, std::mem::replace(&mut piece, head.clone()));
                    left = room;
                }
                if needed <= left {
                    piece.push_str(item);
                    piece.push(',');
                    left -= needed;
                }
            }
            close(&mut pieces, piece);
        }
        pieces
    }
}

/// Ends a piece whose last item has its comma; one without items is none.
fn close(pieces: &mut Vec<String>, mut piece: String) {
    if piece.ends_with(',') {
        piece.pop();
        piece.push_str("]}");
        pieces.push(piece);
    }
}

/// How many bytes a JSON text has once what breaks lines is escaped in it.
fn length(json: &str) -> usize {
    let cost = |c: char| match c {
        '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => 6,
        other => other.len_utf8(),
    };
    json.chars().map(cost).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn logprobs(json: &Value) -> Logprobs {
        let raw = RawValue::from_string(json.to_string()).unwrap();
        Logprobs::new(&raw).unwrap()
    }

    #[test]
    fn only_an_object_on_one_line_is_one() {
        let new = |json: &str| Logprobs::new(&RawValue::from_string(json.to_owned()).unwrap());
        for other in ["null", "[1]", "\"x\"", "7"] {
            assert_eq!(new(other), None);
        }
        let pieces = new("{\r\n\t\"content\": [\n1.50 ]}").unwrap().pieces(100);
        assert_eq!(pieces, ["{\"content\": [1.50 ]}"]);
    }

    #[test]
    fn what_cannot_be_parted_is_left_out() {
        let long = "x".repeat(200);
        let pieces = |json: Value| logprobs(&json).pieces(100);
        assert_eq!(pieces(json!({"tokens": long})), [""; 0]);
        assert_eq!(
            pieces(json!({"content": [1, long, 2], "other": 3})),
            ["{\"content\":[1]}", "{\"content\":[2]}"]
        );
    }

    proptest! {
        #[test]
        fn long_lists_are_parted_and_lose_nothing(
            content in prop::collection::vec("[a-z\u{7f}\u{2028}]{0,9}", 0..60),
            refusal in prop::option::of(prop::collection::vec(0..1_000_000, 0..60)),
        ) {
            let pieces = logprobs(&json!({"content": content, "refusal": refusal})).pieces(100);
            let mut joined: [Vec<Value>; 2] = Default::default();
            for piece in pieces {
                prop_assert!(length(&piece) <= 100);
                let piece: Value = serde_json::from_str(&piece).unwrap();
                for (joined, name) in joined.iter_mut().zip(["content", "refusal"]) {
                    joined.extend(piece[name].as_array().into_iter().flatten().cloned());
                }
            }
            prop_assert_eq!(Value::from(std::mem::take(&mut joined[0])), json!(content));
            let refusal = json!(refusal.unwrap_or_default());
            prop_assert_eq!(Value::from(std::mem::take(&mut joined[1])), refusal);
        }
    }
}
