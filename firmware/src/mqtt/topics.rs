//! The topics under `easel/<device>`.

/// Whether a name can stand in a topic, in an id of Home Assistant and in a client id.
#[must_use]
pub fn is_plain_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (1..=64).contains(&name.len()) && name.chars().all(plain)
}

/// `easel/<device>`.
#[must_use]
pub fn base(device: &str) -> String {
    format!("easel/{device}")
}

/// Where a group's prompts are published.
#[must_use]
pub fn fleet_paint(group: &str) -> String {
    format!("easel/fleet/{group}/paint")
}

/// Under which name a board says whether it shares the group's queue.
#[must_use]
pub fn fleet_member(group: &str, device: &str) -> String {
    format!("easel/fleet/{group}/members/{device}")
}

/// Whom the broker knows the board as. The session hangs on it.
#[must_use]
pub fn client_id(device: &str) -> String {
    format!("easel-{device}")
}

/// Whom the broker knows the board as when it takes prompts of its group.
#[must_use]
pub fn fleet_client_id(device: &str) -> String {
    format!("easel-{device}-fleet")
}

/// What a topic under a base asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    /// Paint what the payload says.
    Paint,
    /// Paint the prompt that was set.
    Generate,
    /// Paint the picture that is shown anew, and a little different.
    Vary,
    /// Stop a job.
    Cancel,
    /// Show another picture.
    Show,
    /// Change the named setting.
    Set(&'a str),
}

/// What the board subscribes to under its base.
pub const COMMANDS: [&str; 6] = ["paint", "generate", "vary", "cancel", "show", "set/+"];

/// What the board subscribes to under its base: all that may be meant for it. It does not hear itself.
pub const ALL: [&str; 2] = ["+", "set/#"];

/// What the board publishes under its base, and `easel doctor`: nothing that it is told.
const SAID: [&str; 11] = [
    "availability",
    "button",
    "doctor",
    "health",
    "image",
    "image/info",
    "info",
    "preview",
    "response",
    "settings",
    "state",
];

/// Whether something under `base` is published for others to hear.
#[must_use]
pub fn is_said(base: &str, topic: &str) -> bool {
    let name = topic
        .strip_prefix(base)
        .and_then(|rest| rest.strip_prefix('/'));
    name.is_some_and(|name| SAID.contains(&name))
}

/// What `topic` asks for; `None` for a topic that is not a command under `base`.
#[must_use]
pub fn parse<'a>(base: &str, topic: &'a str) -> Option<Command<'a>> {
    match topic.strip_prefix(base)?.strip_prefix('/')? {
        "paint" => Some(Command::Paint),
        "generate" => Some(Command::Generate),
        "vary" => Some(Command::Vary),
        "cancel" => Some(Command::Cancel),
        "show" => Some(Command::Show),
        rest => match rest.strip_prefix("set/")? {
            name if is_plain_name(name) => Some(Command::Set(name)),
            _ => None,
        },
    }
}

/// Whether a message may be published there: what MQTT 5 says of topic names (section 4.7), and no `$SYS`.
#[must_use]
pub fn is_publishable(topic: &str) -> bool {
    let fits = (1..=65_535).contains(&topic.len());
    fits && !topic.starts_with('$') && !topic.contains(['+', '#', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_table_of_commands() {
        let base = base("frame");
        for (topic, command) in [
            ("easel/frame/paint", Some(Command::Paint)),
            ("easel/frame/generate", Some(Command::Generate)),
            ("easel/frame/vary", Some(Command::Vary)),
            ("easel/frame/cancel", Some(Command::Cancel)),
            ("easel/frame/show", Some(Command::Show)),
            ("easel/frame/set/night", Some(Command::Set("night"))),
            ("easel/frame/set/", None),
            ("easel/frame/set/a/b", None),
            ("easel/frame/state", None),
            ("easel/frame", None),
            ("easel/frame2/paint", None),
            ("paint", None),
            ("", None),
        ] {
            assert_eq!(parse(&base, topic), command, "{topic}");
        }
    }

    proptest! {
        #[test]
        fn any_topic_is_a_command_or_none(topic in ".*", rest in ".*") {
            let _ = parse("easel/x", &topic);
            if let Some(Command::Set(name)) = parse("easel/x", &format!("easel/x/{rest}")) {
                prop_assert!(is_plain_name(name));
            }
        }
    }
}
