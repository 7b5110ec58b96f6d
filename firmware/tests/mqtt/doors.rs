//! Who is let in, by whom.

use crate::board::{Board, at};
use crate::broker::Broker;
use crate::dashboard::Dashboard;
use easel_firmware::mqtt::{BrokerSettings, Outbound, State};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, date_time_ymd,
};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

pub(crate) type Issuer = CertifiedIssuer<'static, KeyPair>;

fn issuer() -> Issuer {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    // OpenSSL takes a certificate with its issuer's name for one that signed itself.
    params
        .distinguished_name
        .push(DnType::CommonName, "a test's issuer");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed")
}

/// Writes `name.crt` and `name.key`.
fn certificate(
    folder: &Path,
    name: &str,
    issuer: &Issuer,
    change: impl FnOnce(&mut CertificateParams),
) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a right name");
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    change(&mut params);
    let certificate = params.signed_by(&key, issuer).expect("signed");
    write(folder, &format!("{name}.crt"), &certificate.pem());
    write(folder, &format!("{name}.key"), &key.serialize_pem());
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).expect("it can be written");
}

/// A broker with a certificate, and one that asks for the other side's too.
pub(crate) fn tls_broker(
    more: &str,
    change: impl FnOnce(&mut CertificateParams),
) -> (Broker, Issuer) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let issuer = issuer();
    write(folder.path(), "ca.crt", &issuer.pem());
    certificate(folder.path(), "broker", &issuer, change);
    let path = folder.path().display();
    let lines = format!(
        "allow_anonymous true\ncafile {path}/ca.crt\ncertfile {path}/broker.crt\nkeyfile {path}/broker.key\n{more}"
    );
    (Broker::with(folder, &lines), issuer)
}

fn tls(broker: &Broker) -> BrokerSettings {
    BrokerSettings {
        ca_file: Some(broker.path("ca.crt")),
        ..at(broker.port)
    }
}

#[test]
fn tls_with_an_issuer_of_ones_own() {
    let (broker, _) = tls_broker("", |_| {});
    let board = Board::start("frame", &tls(&broker));
    board.online();
}

#[test]
fn a_foreign_issuer_is_not_trusted_until_the_file_is_corrected() {
    let (broker, _) = tls_broker("", |_| {});
    let right = std::fs::read(broker.path("ca.crt")).expect("it is there");
    let mine = tempfile::tempdir().expect("a temporary folder");
    let ca_file = mine.path().join("ca.crt");
    std::fs::write(&ca_file, issuer().pem()).expect("it can be written");
    let board = Board::start(
        "frame",
        &BrokerSettings {
            ca_file: Some(ca_file.clone()),
            ..at(broker.port)
        },
    );
    board.offline("not trusted: correct broker.ca_file");
    std::fs::write(&ca_file, right).expect("it can be written");
    board.online();
}

#[test]
fn certificates_out_of_time_or_of_another_name_are_refused_with_a_reason() {
    type Change = fn(&mut CertificateParams);
    let cases: [(Change, &str); 3] = [
        (
            |params| params.not_before = date_time_ymd(2999, 1, 1),
            "is the board's clock right?",
        ),
        (
            |params| params.not_after = date_time_ymd(2001, 1, 1),
            "has expired",
        ),
        (|params| params.subject_alt_names.clear(), "another name"),
    ];
    for (change, expected) in cases {
        let (broker, _) = tls_broker("", change);
        let board = Board::start("frame", &tls(&broker));
        board.offline(expected);
    }
}

#[test]
fn the_board_shows_its_own_certificate() {
    let (broker, own) = tls_broker("require_certificate true\n", |_| {});
    let folder = tempfile::tempdir().expect("a temporary folder");
    certificate(folder.path(), "board", &own, |_| {});
    let settings = BrokerSettings {
        certificate_file: Some(folder.path().join("board.crt")),
        key_file: Some(folder.path().join("board.key")),
        ..tls(&broker)
    };
    Board::start("frame", &settings).online();

    let stranger = issuer();
    certificate(folder.path(), "board", &stranger, |_| {});
    Board::start("frame", &settings).offline("the board's certificate");
    Board::start("frame", &tls(&broker)).offline("the board's certificate");
}

#[test]
fn speaking_plain_to_tls_and_the_other_way_round_is_explained() {
    let (broker, _) = tls_broker("", |_| {});
    Board::start("frame", &at(broker.port)).offline("broker");
    let plain = Broker::open();
    let settings = BrokerSettings {
        ca_file: Some(broker.path("ca.crt")),
        ..at(plain.port)
    };
    Board::start("frame", &settings).offline("TLS");
}

/// User `frame` with password `hunter2`, and `house`, who may do anything.
pub(crate) fn with_passwords(acl: &str) -> Broker {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let passwords = folder.path().join("passwords");
    write(folder.path(), "passwords", "frame:hunter2\nhouse:home\n");
    let hashed = Command::new("mosquitto_passwd")
        .arg("-U")
        .arg(&passwords)
        .status();
    assert!(
        hashed.is_ok_and(|status| status.success()),
        "run `apt-get install mosquitto`"
    );
    let mut lines = format!(
        "allow_anonymous false\npassword_file {}\n",
        passwords.display()
    );
    if !acl.is_empty() {
        write(folder.path(), "acl", acl);
        lines.push_str(&format!(
            "acl_file {}\n",
            folder.path().join("acl").display()
        ));
    }
    Broker::with(folder, &lines)
}

fn login(broker: &Broker, folder: &TempDir, password: &str) -> BrokerSettings {
    write(folder.path(), "password", password);
    BrokerSettings {
        username: Some("frame".to_owned()),
        password_file: Some(folder.path().join("password")),
        ..at(broker.port)
    }
}

#[test]
fn a_wrong_password_is_reported_and_a_corrected_one_is_taken() {
    let broker = with_passwords("");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let board = Board::start("frame", &login(&broker, &folder, "hunter3\n"));
    let reason = board.offline("password");
    assert!(!reason.contains("hunter"), "{reason}");
    write(folder.path(), "password", "hunter2\n");
    board.online();
    Board::start("other", &at(broker.port)).offline("user name and password");
}

#[test]
fn a_password_that_cannot_be_read_is_waited_for() {
    let broker = with_passwords("");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settings = login(&broker, &folder, "");
    std::fs::remove_file(folder.path().join("password")).expect("it was there");
    let board = Board::start("frame", &settings);
    board.offline("password in /");
    write(folder.path(), "password", "hunter2");
    board.online();
}

#[test]
fn what_the_access_list_refuses_is_reported_by_topic() {
    let acl = "user house\ntopic readwrite #\nuser frame\ntopic read easel/frame/paint\ntopic write easel/frame/availability\n";
    let broker = with_passwords(acl);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let board = Board::start("frame", &login(&broker, &folder, "hunter2"));
    let dashboard = Dashboard::login(broker.port, &["easel/frame/#"], Some(("house", "home")));
    board.online();
    board.client.publish(Outbound::State(State::default()));
    board.note("the broker refuses to publish easel/frame/state");
    dashboard.text("easel/frame/availability", "online");
    dashboard.publish("easel/frame/paint", "a cat");
    assert_eq!(board.job().0.order.prompt, "a cat");
}
