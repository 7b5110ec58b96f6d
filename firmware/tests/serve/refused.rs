//! Every command that is refused is answered.

use super::broker::Broker;
use super::daemon::{Daemon, Ear, say};

#[test]
fn every_command_that_is_refused_is_answered() {
    let broker = Broker::open();
    let folder = tempfile::tempdir().expect("a folder");
    let daemon = Daemon::start(&broker, folder.path());
    let responses = Ear::on(&broker, "easel/frame/response");
    for (topic, payload, code, says) in [
        ("paint", "", "empty_prompt", "prompt"),
        ("paint", "{", "invalid_json", "payload"),
        ("generate", "", "no_prompt", "set a prompt"),
        ("vary", "", "no_picture", "no picture to vary"),
        ("cancel", "", "not_painting", "nothing is being painted"),
        ("cancel", "nobody", "unknown_id", "no such job"),
        ("cancel", "a/b", "invalid_id", "cancel"),
        ("show", "nobody", "unknown_id", "no picture"),
        ("show", "*", "invalid_show", "show"),
        ("set/steps", "0", "invalid_steps", "steps"),
        ("set/guidance", "-1", "invalid_guidance", "guidance"),
        ("set/scheduler", "none", "invalid_scheduler", "scheduler"),
        ("set/style", "none", "invalid_setting", "style"),
        ("set/interval", "1", "invalid_setting", "interval"),
        ("set/kiosk", "perhaps", "invalid_setting", "kiosk"),
        ("set/foo", "1", "unknown_setting", "foo"),
        ("set/a/b", "1", "unknown_topic", "easel/frame/set/a/b"),
        ("pain", "a cat", "unknown_topic", "easel/frame/pain"),
    ] {
        say(&broker, &format!("easel/frame/{topic}"), payload);
        let answer = responses.next_json();
        assert_eq!(answer["status"], "rejected", "{topic} {payload}: {answer}");
        assert_eq!(answer["error"]["code"], code, "{topic} {payload}: {answer}");
        let text = answer["error"]["text"].as_str().unwrap_or_default();
        assert!(text.contains(says), "{topic} {payload}: {answer}");
    }
    // Nothing of it has changed anything.
    say(&broker, "easel/frame/set/steps", "7");
    let settings = Ear::on(&broker, "easel/frame/settings");
    while settings.next_json()["steps"] != 7 {}
    daemon.stop();
}
