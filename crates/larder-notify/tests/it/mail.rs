//! Mail, against a small SMTP server.

use std::io::Write as _;
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use larder_core::Occasion;
use larder_notify::{Fate, Kind, Language, Receiver};

use crate::smtp::{Session, Smtp, Ways};
use crate::support::{deliver, notice, receiver, secret_file, wait_for};

fn people(url: &str) -> Receiver {
    Receiver {
        from: Some("larder <larder@example.test>".to_owned()),
        to: vec!["team@example.test".to_owned(), "Boss <boss@example.test>".to_owned()],
        ..receiver("people", Kind::Mail, url)
    }
}

/// The only session, when it is over.
fn session(server: &Smtp) -> Session {
    wait_for("the connection to end", || !server.sessions().is_empty());
    server.sessions().remove(0)
}

#[test]
fn a_mail_arrives_as_text() {
    let server = Smtp::start(Ways::default());
    let url = format!("smtp://127.0.0.1:{}", server.port);
    let raised = notice("1", "redis:a", Occasion::Raised);
    assert_eq!(deliver(people(&url), &raised).fate, Fate::Sent);
    let session = session(&server);
    assert!(session.commands.iter().any(|c| c.starts_with("MAIL FROM:<larder@example.test>")));
    assert_eq!(session.commands.iter().filter(|c| c.starts_with("RCPT TO:")).count(), 2);
    let mail = &session.mail;
    assert!(mail.contains("Auto-Submitted: auto-generated"), "{mail}");
    assert!(mail.contains("Subject: WARNING redis:a health 77 (was 92), for 2 min, on web-1"));
    assert!(mail.contains("text/plain; charset=utf-8"), "{mail}");
    assert!(mail.contains("larder clean redis:a --match"), "{mail}");
    assert!(mail.contains("Message-ID: <") && mail.contains("References: <"), "{mail}");
}

#[test]
fn raised_and_cleared_are_one_thread() {
    let server = Smtp::start(Ways::default());
    let url = format!("smtp://127.0.0.1:{}", server.port);
    deliver(people(&url), &notice("1", "redis:a", Occasion::Raised));
    deliver(people(&url), &notice("2", "redis:a", Occasion::Cleared));
    wait_for("both", || server.sessions().len() == 2);
    let of = |name: &str| -> Vec<String> {
        let find = |mail: &str| {
            let header = mail.lines().find(|line| line.starts_with(name));
            header.expect("the header").to_owned()
        };
        server.sessions().iter().map(|session| find(&session.mail)).collect()
    };
    let (threads, ids) = (of("References: "), of("Message-ID: "));
    assert_eq!(threads[0], threads[1]);
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn a_subject_in_chinese_is_encoded() {
    let server = Smtp::start(Ways::default());
    let mut people = people(&format!("smtp://127.0.0.1:{}", server.port));
    people.language = Language::Zh;
    assert_eq!(deliver(people, &notice("1", "redis:a", Occasion::Raised)).fate, Fate::Sent);
    let mail = session(&server).mail;
    assert!(mail.is_ascii(), "{mail}");
    let words = mail.split("=?utf-8?b?").skip(1).filter_map(|rest| rest.split("?=").next());
    let subject: Vec<u8> = words.flat_map(|word| STANDARD.decode(word).unwrap()).collect();
    let subject = String::from_utf8(subject).unwrap();
    assert!(subject.contains("警告") && subject.contains("健康分"), "{subject}");
}

#[test]
fn a_login_to_this_machine_needs_no_tls() {
    let ways = Ways { extensions: vec!["AUTH PLAIN LOGIN"], ..Ways::default() };
    let server = Smtp::start(ways);
    let mut people = people(&format!("smtp://127.0.0.1:{}", server.port));
    people.secret_file = Some(secret_file("pa55-word"));
    assert_eq!(deliver(people, &notice("1", "redis:a", Occasion::Raised)).fate, Fate::Sent);
    let session = session(&server);
    let login = session.commands.iter().find_map(|c| c.strip_prefix("AUTH PLAIN ")).unwrap();
    let expected = b"\0larder@example.test\0pa55-word";
    assert_eq!(STANDARD.decode(login).unwrap(), expected);
}

#[test]
fn who_logs_in_may_be_another_than_who_sends() {
    let server = Smtp::start(Ways { extensions: vec!["AUTH PLAIN LOGIN"], ..Ways::default() });
    let mut people = people(&format!("smtp://127.0.0.1:{}", server.port));
    people.secret_file = Some(secret_file("pa55-word"));
    people.username = Some("relay".to_owned());
    assert_eq!(deliver(people, &notice("1", "redis:a", Occasion::Raised)).fate, Fate::Sent);
    let session = session(&server);
    let login = session.commands.iter().find_map(|c| c.strip_prefix("AUTH PLAIN ")).unwrap();
    assert_eq!(STANDARD.decode(login).unwrap(), b"\0relay\0pa55-word");
}

#[test]
fn a_password_goes_to_no_other_machine_in_the_clear() {
    // Nobody is asked: the settings alone forbid it.
    let mut people = people("smtp://192.0.2.1:25/?tls=never");
    people.secret_file = Some(secret_file("pa55-word"));
    let delivery = deliver(people, &notice("1", "redis:a", Occasion::Raised));
    let Fate::Failed(why) = delivery.fate else { panic!("{delivery:?}") };
    assert_eq!(why, "192.0.2.1:25: a password is not sent without TLS");
}

#[test]
fn a_refusal_that_stays_is_one() {
    let ways = Ways { recipient: Some(|_| "550 no such user"), ..Ways::default() };
    let server = Smtp::start(ways);
    let people = people(&format!("smtp://127.0.0.1:{}", server.port));
    let delivery = deliver(people, &notice("1", "redis:a", Occasion::Raised));
    let Fate::Failed(why) = delivery.fate else { panic!("{delivery:?}") };
    assert!(why.contains("550") && why.contains("no such user"), "{why}");
    assert_eq!(delivery.attempts, 1);
}

#[test]
fn a_refusal_that_passes_is_tried_again() {
    let of = |number| if number < 2 { "451 greylisted" } else { "250 ok" };
    let server = Smtp::start(Ways { recipient: Some(of), ..Ways::default() });
    let people = people(&format!("smtp://127.0.0.1:{}", server.port));
    let delivery = deliver(people, &notice("1", "redis:a", Occasion::Raised));
    assert_eq!((delivery.fate, delivery.attempts), (Fate::Sent, 3));
}

#[test]
fn tls_that_is_required_and_not_there_is_a_failure() {
    let server = Smtp::start(Ways::default());
    let url = format!("smtp://127.0.0.1:{}/?tls=required", server.port);
    let delivery = deliver(people(&url), &notice("1", "redis:a", Occasion::Raised));
    assert!(matches!(delivery.fate, Fate::Failed(_)), "{delivery:?}");
    assert!(server.sessions().iter().all(|session| session.mail.is_empty()));
}

#[test]
fn one_that_drips_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            thread::spawn(move || {
                for _ in 0..100 {
                    if stream.write_all(b"2").is_err() {
                        break;
                    }
                    thread::sleep(Duration::from_millis(50));
                }
            });
        }
    });
    let mut people = people(&format!("smtp://127.0.0.1:{port}"));
    people.timeout = Duration::from_millis(200);
    let started = Instant::now();
    let delivery = deliver(people, &notice("1", "redis:a", Occasion::Raised));
    let Fate::Failed(why) = delivery.fate else { panic!("{delivery:?}") };
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    // No second attempt runs beside the first.
    assert!(why.contains("has not ended"), "{why}");
}
