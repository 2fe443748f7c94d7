//! What must hold of any configuration, as text and as variables: for property tests and for `fuzz/`.

use figment::providers::{Format as _, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::load::Loader;
use super::shape;
use super::{File, Origin};

/// Reads what comes before the first NUL as a file and what comes after it as variables, a line each:
/// it is a configuration, or an error in words, and nothing breaks. No file that it names is read.
///
/// # Panics
/// It does not hold.
pub fn holds(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (file, variables) = text.split_once('\0').unwrap_or((&text, ""));
    let figment = Figment::new()
        .merge(Toml::string(file))
        .merge(Variables(variables));
    let file: File = match figment.extract() {
        Ok(file) => file,
        Err(error) => {
            let described = shape::describe(&error);
            assert!(!described.trim().is_empty());
            // For each mistake a line, of which none shows what stands in the file beside it.
            assert!(described.len() < 64 * 1024 + 2 * input.len());
            return;
        }
    };
    if let Err(error) = Loader::new(&Origin::default()).check(&file) {
        assert!(error.to_string().contains('`'), "it names no key: {error}");
    }
    for section in file.models.values() {
        if let Err(error) = section.model() {
            let described = shape::describe_section(&Origin::default(), "models.x", None, error);
            assert!(described.contains("models.x"), "{described}");
        }
    }
}

/// Variables as the environment has them, `auth__leeway=5s` a line.
struct Variables<'a>(&'a str);

impl Provider for Variables<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::named("environment variable(s)")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut dict = Dict::new();
        for line in self.0.lines() {
            let Some((name, value)) = line.split_once('=') else {
                continue;
            };
            let key = name.to_ascii_lowercase().replace("__", ".");
            let value: Value = value.parse().unwrap_or_else(|never| match never {});
            if let Some(nested) = figment::util::nest(&key, value).into_dict() {
                dict.extend(nested);
            }
        }
        Ok(Profile::Default.collect(dict))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EXAMPLE: &str = include_str!("../../tailrace.example.toml");

    #[test]
    fn it_holds_of_the_seeds() {
        for seed in crate::seeds::of("configuration") {
            holds(&seed);
        }
    }

    #[test]
    fn variables_win_over_the_text() {
        let figment = Figment::new()
            .merge(Toml::string("workers = 1\nauth.leeway = \"1s\""))
            .merge(Variables("AUTH__LEEWAY=5s\nWORKERS=3"));
        let file: File = figment.extract().unwrap();
        assert_eq!((file.workers, file.auth.leeway.as_secs()), (3, 5));
    }

    proptest! {
        #[test]
        fn it_holds_of_anything(input: Vec<u8>) {
            holds(&input);
        }

        /// Any line of the example with any value, among others that stay.
        #[test]
        fn it_holds_of_the_example_with_another_value(
            line in 0_usize..EXAMPLE.lines().count(),
            value in "(-?[0-9]{1,20}|[0-9]e[0-9]{1,3}|true|\"[a-z0-9 .:/-]{0,12}\"|\\[\\]|\\[1, \"x\"\\]|\\{\\}|\\{ a = 1 \\}|nan|1979-05-27|)",
            as_variable: bool,
        ) {
            let line = EXAMPLE.lines().nth(line).unwrap().trim_start_matches('#');
            let (key, _) = line.split_once('=').unwrap_or((line, ""));
            let key = key.trim();
            let input = if as_variable {
                format!("\0{}={value}", key.replace('.', "__"))
            } else {
                format!("{EXAMPLE}\n{key} = {value}\n\0")
            };
            holds(input.as_bytes());
        }

        #[test]
        fn it_holds_of_any_variables(lines in prop::collection::vec("[A-Z_]{0,12}(__[A-Z_]{0,12}){0,3}=[ -~]{0,20}", 0..6)) {
            holds(format!("\0{}", lines.join("\n")).as_bytes());
        }
    }
}
