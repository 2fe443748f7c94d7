//! `tailrace man`: the manual pages, made of what `--help` is made of.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::manual;
use super::output::print;

/// Which pages.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print the page of this command [default: of tailrace itself]
    #[arg(value_name = "COMMAND", conflicts_with = "dir")]
    of: Option<String>,

    /// Write all pages into this directory, for example /usr/local/share/man/man1
    #[arg(long, value_name = "DIRECTORY")]
    dir: Option<PathBuf>,
}

/// # Errors
/// There is no such command, or a page cannot be written.
pub(super) fn run(mut program: Command, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    program.build();
    let commands = program
        .get_subcommands()
        .filter(|command| command.get_name() != "help");
    if let Some(directory) = &arguments.dir {
        for command in std::iter::once(&program).chain(commands) {
            let path = directory.join(format!("{}.1", title(command)));
            std::fs::write(&path, page(&program, command)?)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let command = match &arguments.of {
        None => &program,
        Some(name) => {
            let mut commands = commands.filter(|command| command.get_name() == name);
            match commands.next() {
                Some(command) => command,
                None => bail!("there is no command {name:?}"),
            }
        }
    };
    print(page(&program, command)?)?;
    Ok(ExitCode::SUCCESS)
}

fn title(command: &Command) -> String {
    let name = command.get_display_name().unwrap_or(command.get_name());
    name.replace(' ', "-")
}

fn page(program: &Command, command: &Command) -> anyhow::Result<Vec<u8>> {
    let title = title(command);
    // The page has its own, in sections.
    let shown = command
        .clone()
        .after_help(None::<&str>)
        .after_long_help(None::<&str>);
    let man = Man::new(shown.clone())
        .title(title.to_uppercase())
        .manual("Tailrace")
        .source(format!("tailrace {}", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.get_subcommands().next().is_some() {
        man.render_subcommands_section(&mut page)?;
    }
    let mut roff = Roff::new();
    for part in manual::parts(command.get_name()) {
        roff.control("SH", [part.title.to_uppercase().as_str()]);
        for (term, text) in part.entries {
            roff.control("TP", []);
            roff.text([bold(*term)]);
            roff.text([roman(*text)]);
        }
    }
    let mut others = std::iter::once(program)
        .chain(program.get_subcommands())
        .filter(|other| other.get_name() != "help")
        .map(self::title)
        .filter(|other| *other != title)
        .peekable();
    roff.control("SH", ["SEE ALSO"]);
    while let Some(other) = others.next() {
        let comma = if others.peek().is_some() { ", " } else { "" };
        roff.text([bold(other), roman(format!("(1){comma}"))]);
    }
    roff.to_writer(&mut page)?;
    Ok(page)
}
