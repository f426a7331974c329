//! The command line as a whole: it is sound, and `docs/cli.md` shows it.

use super::*;

#[test]
fn the_definition_is_sound() {
    definition().debug_assert();
}

#[test]
fn every_command_shows_examples_and_explains_every_argument() {
    for entry in COMMANDS {
        each_leaf("", (entry.command)(), &mut |name, command| {
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.starts_with("Examples:\n"), "{name} has no examples");
            assert!(command.get_about().is_some(), "{name} is not described");
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{name}: no help on {}", argument.get_id());
            }
        });
    }
}

/// Calls `each` with every command that has no commands of its own, and its name.
fn each_leaf(prefix: &str, command: clap::Command, each: &mut dyn FnMut(&str, clap::Command)) {
    let name = format!("{prefix}{}", command.get_name());
    let below: Vec<_> =
        command.get_subcommands().filter(|c| c.get_name() != "help").cloned().collect();
    if below.is_empty() {
        return each(&name, command);
    }
    for command in below {
        each_leaf(&format!("{name} "), command, each);
    }
}

/// What `docs/cli.md` has to hold: the long help of every command.
fn document() -> String {
    let mut text = "# The command line\n\n\
        Made from `spanwire --help` and `spanwire COMMAND --help`; a test holds it against\n\
        them (`UPDATE=1 cargo test -p cli` writes it anew).\n"
        .to_owned();
    let mut add = |title: &str, command: clap::Command| {
        let help = command.term_width(100).render_long_help().to_string();
        let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
        text.push_str(&format!("\n## {title}\n\n```text\n{}\n```\n", lines.join("\n").trim_end()));
    };
    let mut top = definition();
    top.build();
    add("spanwire", top.clone());
    each_leaf("", top, &mut |name, command| add(name, command));
    text
}

#[test]
fn the_document_shows_the_help() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md");
    let expected = document();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &expected).expect("docs/cli.md can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "docs/cli.md is not what the help says; UPDATE=1 cargo test -p cli writes it:\n{expected}"
    );
}
