//! The web settings that are in force, read again when the file, or a file that it names, changed.
//!
//! Promises: a change is seen within [`AGAIN`], and what was replaced by something damaged stays in
//! force, with one message about it. Whether TLS is spoken at all is settled at the start.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderName, HeaderValue};
use rustls::ServerConfig;

use crate::tls::{self, TlsFiles};
use crate::users::Users;
use crate::web_file::{WebFile, WebFileError};

/// How long a look at the files holds.
const AGAIN: Duration = Duration::from_secs(1);

/// What the file says.
pub(crate) struct Web {
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) users: Arc<Users>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

/// The contents of all files that count.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Contents {
    file: Vec<u8>,
    tls: TlsFiles,
}

/// The settings in force, and when they were last looked at.
pub(crate) struct WebSettings {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    web: Arc<Web>,
    contents: Contents,
    looked: Instant,
    /// What was last found wrong, so that it is said once.
    trouble: Option<String>,
}

impl WebSettings {
    /// Reads the file at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self, WebFileError> {
        let (contents, web) = read(path)?;
        let state = State { web: Arc::new(web), contents, looked: Instant::now(), trouble: None };
        Ok(Self { path: path.to_owned(), state: Mutex::new(state) })
    }

    /// What is in force, as of the last look.
    pub(crate) fn now(&self) -> Arc<Web> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).web.clone()
    }

    /// Whether the last look is old. Who is told so is the one to look.
    pub(crate) fn is_due(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let due = state.looked.elapsed() >= AGAIN;
        if due {
            state.looked = Instant::now();
        }
        due
    }

    /// Looks at the files, and says what changed or is wrong. Blocks.
    pub(crate) fn look(&self) -> Option<String> {
        let found = self.changed();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match found {
            Ok(None) => {
                state.trouble = None;
                None
            }
            Ok(Some((contents, web))) => {
                state.web = Arc::new(web);
                state.contents = contents;
                state.trouble = None;
                Some(format!("{} was read again", self.path.display()))
            }
            Err(error) => {
                let text = error.to_string();
                let new = state.trouble.as_ref() != Some(&text);
                state.trouble = Some(text.clone());
                new.then(|| format!("{text}; what was read before stays in force"))
            }
        }
    }

    fn changed(&self) -> Result<Option<(Contents, Web)>, WebFileError> {
        let (contents, file) = load(&self.path)?;
        let known = {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            (state.contents == contents, state.web.tls.is_some())
        };
        if known.0 {
            return Ok(None);
        }
        if known.1 != file.tls_server_config.is_some() {
            let what = "TLS cannot be turned on or off while the server runs";
            return Err(WebFileError::new(&self.path, what));
        }
        let web = web(&self.path, &contents, &file)?;
        Ok(Some((contents, web)))
    }
}

fn read(path: &Path) -> Result<(Contents, Web), WebFileError> {
    let (contents, file) = load(path)?;
    let web = web(path, &contents, &file)?;
    Ok((contents, web))
}

/// The file and the contents of all that it names.
fn load(path: &Path) -> Result<(Contents, WebFile), WebFileError> {
    let bytes = |file: &Path| {
        std::fs::read(file).map_err(|error| {
            WebFileError::new(path, format!("{} cannot be read: {error}", file.display()))
        })
    };
    let text = std::fs::read(path)
        .map_err(|error| WebFileError::new(path, format!("cannot be read: {error}")))?;
    let file = WebFile::parse(path, &text)?;
    let mut tls = TlsFiles::default();
    if let Some(settings) = &file.tls_server_config {
        tls.cert = bytes(&settings.cert_file)?;
        tls.key = bytes(&settings.key_file)?;
        tls.ca = settings.client_ca_file.as_deref().map_or(Ok(Vec::new()), bytes)?;
    }
    Ok((Contents { file: text, tls }, file))
}

fn web(path: &Path, contents: &Contents, file: &WebFile) -> Result<Web, WebFileError> {
    let wrong = |what: String| WebFileError::new(path, what);
    let config = file.tls_server_config.as_ref();
    let config = config.map(|settings| tls::config(settings, &contents.tls)).transpose();
    Ok(Web {
        tls: config.map_err(wrong)?.map(Arc::new),
        users: Users::new(file.basic_auth_users.clone())
            .map(Arc::new)
            .map_err(|_| wrong("the system gives no random bytes".to_owned()))?,
        headers: file.headers().map_err(wrong)?,
    })
}
