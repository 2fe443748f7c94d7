//! What the demo says in Markdown: every kind of block that a page must be able to show.

/// An answer about the topic. `sentence` gives one about it, another each time.
pub(super) fn document(topic: &str, mut sentence: impl FnMut() -> String) -> String {
    let title = capitalised(topic);
    let (opening, first, second, third) = (sentence(), sentence(), sentence(), sentence());
    let (before_code, quoted, closing) = (sentence(), sentence(), sentence());
    format!(
        "## {title}, in short

{opening} Three things are worth knowing:

1. **Where it begins.** {first}
2. **What it costs.** {second}
3. **How it ends.** {third}

### How you come to read this

{before_code} What you see here was sent word by word, and each word has a number, so that a reader \
who was cut off asks for what comes *after* the last one:

```js
import {{ stream }} from 'tailrace';

// Goes on by itself after a lost connection.
for await (const event of stream({{ token, prompt }})) {{
  if (event.type === 'token') output.append(event.text);
}}
```

| What happens | What you miss | What comes twice |
|---|---|---|
| The network drops | nothing | nothing |
| The tab is reloaded | nothing | nothing |
| The cat takes the router | nothing | nothing |

> {quoted}

{closing} This text comes from the `demo` generator: no model was troubled for it."
    )
}

/// With a capital first letter.
fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(characters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_every_kind_of_block() {
        let mut number = 0;
        let text = document("élan vital", || {
            number += 1;
            format!("Sentence {number}.")
        });
        for block in [
            "## Élan vital, in short\n\n",
            "\n1. **",
            "\n```js\n",
            "\n```\n\n",
            "\n|---|---|---|\n",
            "\n> Sentence 6.",
            "Sentence 7.",
            "*after*",
            "`demo`",
        ] {
            assert!(text.contains(block), "{block:?} in {text}");
        }
    }
}
