//! A small SMTP server on loopback that keeps the mail it gets; over TLS where it is given one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What was said and sent on one connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Session {
    pub(crate) commands: Vec<String>,
    /// The mail, without the dot at its end.
    pub(crate) mail: String,
    pub(crate) encrypted: bool,
}

/// What a server does out of the ordinary.
#[derive(Clone, Default)]
pub(crate) struct Ways {
    /// Extensions after EHLO, a line each.
    pub(crate) extensions: Vec<&'static str>,
    /// The answer to RCPT, by the number of the connection.
    pub(crate) recipient: Option<fn(usize) -> &'static str>,
    /// TLS: from the first byte, else after STARTTLS.
    pub(crate) tls: Option<(Arc<rustls::ServerConfig>, bool)>,
}

pub(crate) struct Smtp {
    pub(crate) port: u16,
    sessions: Arc<Mutex<Vec<Session>>>,
}

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

impl Smtp {
    pub(crate) fn start(ways: Ways) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let sessions: Arc<Mutex<Vec<Session>>> = Arc::default();
        let kept = Arc::clone(&sessions);
        // It ends with the test process.
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let Ok(stream) = stream else { continue };
                let (ways, kept) = (ways.clone(), Arc::clone(&kept));
                thread::spawn(move || {
                    let session = serve(number, stream, &ways);
                    kept.lock().unwrap().push(session);
                });
            }
        });
        Self { port, sessions }
    }

    pub(crate) fn sessions(&self) -> Vec<Session> {
        self.sessions.lock().unwrap().clone()
    }
}

fn encrypt(tcp: TcpStream, config: &Arc<rustls::ServerConfig>) -> Box<dyn Stream> {
    let connection = rustls::ServerConnection::new(Arc::clone(config)).unwrap();
    Box::new(rustls::StreamOwned::new(connection, tcp))
}

fn serve(number: usize, tcp: TcpStream, ways: &Ways) -> Session {
    let mut session = Session::default();
    let plain = tcp.try_clone().unwrap();
    let stream: Box<dyn Stream> = match &ways.tls {
        Some((config, true)) => {
            session.encrypted = true;
            encrypt(tcp, config)
        }
        _ => Box::new(tcp),
    };
    let mut reader = BufReader::new(stream);
    let say = |reader: &mut BufReader<Box<dyn Stream>>, text: &str| {
        let stream = reader.get_mut();
        let _ = stream.write_all(format!("{text}\r\n").as_bytes());
        let _ = stream.flush();
    };
    say(&mut reader, "220 test ESMTP");
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return session;
        }
        let line = line.trim_end().to_owned();
        session.commands.push(line.clone());
        match line.split([' ', ':']).next().unwrap_or_default() {
            "EHLO" => {
                let mut answer = "250-test".to_owned();
                for extension in &ways.extensions {
                    answer += &format!("\r\n250-{extension}");
                }
                say(&mut reader, &format!("{answer}\r\n250 8BITMIME"));
            }
            "STARTTLS" => {
                say(&mut reader, "220 go on");
                let Some((config, _)) = &ways.tls else { return session };
                session.encrypted = true;
                reader = BufReader::new(encrypt(plain.try_clone().unwrap(), config));
            }
            "AUTH" => say(&mut reader, "235 welcome"),
            "RCPT" => say(&mut reader, ways.recipient.map_or("250 ok", |of| of(number))),
            "DATA" => {
                say(&mut reader, "354 go on");
                loop {
                    let mut line = String::new();
                    if reader.read_line(&mut line).unwrap_or(0) == 0 || line == ".\r\n" {
                        break;
                    }
                    session.mail += &line;
                }
                say(&mut reader, "250 taken");
            }
            "QUIT" => {
                say(&mut reader, "221 bye");
                return session;
            }
            _ => say(&mut reader, "250 ok"),
        }
    }
}
