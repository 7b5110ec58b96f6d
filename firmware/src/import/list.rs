//! `easel import --list`: models that suit small boards, with what is known of them. The data is `models/recommended.toml`.

use crate::failure::Failure;
use crate::report;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

const DATA: &str = include_str!("../../../models/recommended.toml");
/// As docs/performance-on-boards.md names them.
#[cfg(test)]
const BOARDS: [&str; 4] = ["Pi Zero 2 W", "Pi 3 B+", "Pi 4", "Pi 5"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    model: Vec<Model>,
}

/// A model; the file says what each key is.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Model {
    pub(crate) source: String,
    pub(crate) title: String,
    licence: String,
    import: String,
    #[serde(skip_serializing)]
    #[cfg_attr(not(test), expect(dead_code, reason = "for the test that compares"))]
    table: String,
    pub(crate) steps: u32,
    /// Boards and seconds, in words.
    seconds: Vec<(String, String)>,
    /// MiB.
    pub(crate) memory: u64,
    /// MB.
    pub(crate) disk: u64,
    pub(crate) download: u64,
    tried: String,
}

impl Model {
    /// The call that imports it.
    pub(crate) fn command(&self) -> String {
        let name = self.source.rsplit('/').next().unwrap_or_default();
        format!("easel import {} {} --out {name}", self.source, self.import)
    }
}

/// The models, those for the smallest boards first.
pub(crate) fn models() -> Vec<Model> {
    let data: Data = toml::from_str(DATA).expect("a file of the repository that a test reads");
    data.model
}

/// Prints the list.
pub(super) fn print(json: bool) -> Result<(), Failure> {
    let text = if json {
        let models: Vec<_> = models().iter().map(line).collect();
        serde_json::json!({ "models": models }).to_string()
    } else {
        readable(&models())
    };
    report::print(&text, "send the list where it can be written")
}

fn line(model: &Model) -> serde_json::Value {
    let mut line = serde_json::json!(model);
    line["command"] = model.command().into();
    line["seconds"] = model
        .seconds
        .iter()
        .map(|(board, seconds)| (board.clone(), seconds.clone().into()))
        .collect::<serde_json::Map<_, _>>()
        .into();
    line
}

fn readable(models: &[Model]) -> String {
    let mut text = String::new();
    for model in models {
        let seconds = model
            .seconds
            .iter()
            .map(|(board, seconds)| format!("{board} {seconds}"))
            .collect::<Vec<_>>()
            .join(", ");
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{title}
  licence    {licence}
  disk       {disk} MB; {download} MB more while it is imported
  memory     {memory} MiB are enough; a board with more is faster
  a picture  {seconds}
  tried      {tried}
  {command}
",
            title = model.title,
            licence = model.licence,
            disk = model.disk,
            download = model.download,
            memory = model.memory,
            tried = model.tried,
            command = model.command(),
        );
    }
    text += "Times are computed, not measured (docs/performance-on-boards.md). Licences are as the cards stated when this was written: read the card before.";
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cells of the page's rows, without emphasis.
    fn rows() -> Vec<Vec<String>> {
        let page = include_str!("../../../docs/performance-on-boards.md");
        let rows = page.lines().filter(|line| line.starts_with("| "));
        rows.map(|line| {
            let cells = line.trim_matches('|').split('|');
            cells
                .map(|cell| cell.trim().trim_matches('*').to_owned())
                .collect()
        })
        .collect()
    }

    #[test]
    fn times_are_those_of_the_page() {
        let rows = rows();
        for model in models() {
            let found: Vec<_> = BOARDS
                .map(|board| {
                    let row = rows.iter().find(|row| {
                        row.len() == 9
                            && row[0] == model.table
                            && row[1] == board
                            && row[6] == model.steps.to_string()
                    });
                    let row = row.unwrap_or_else(|| panic!("{}: {board}: no row", model.title));
                    (board.to_owned(), row[8].clone())
                })
                .into();
            assert_eq!(
                model.seconds, found,
                "{}: as docs/performance-on-boards.md has it",
                model.title
            );
        }
    }

    #[test]
    fn each_command_is_one_that_is_taken() {
        use clap::Parser as _;
        for model in models() {
            let command = model.command();
            let parsed = crate::Arguments::try_parse_from(command.split(' '));
            assert!(parsed.is_ok(), "{command}: {:?}", parsed.err());
            let name = easel::import::hub::Name::parse(&model.source);
            assert!(name.is_some_and(|name| name.to_string() == model.source));
        }
        let text = readable(&models());
        assert!(
            text.contains("stabilityai/sd-turbo")
                && text.contains("not with its published weights")
        );
    }
}
