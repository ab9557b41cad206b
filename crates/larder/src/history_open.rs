//! Between the settings and the history: where it is, what is read, what its errors mean.

use std::path::PathBuf;

use larder_history::{
    Credential, HistoryError, Limits, PrometheusHistory, PrometheusSettings, Reader, Series,
    SeriesError, SetAside, Store,
};

use crate::context::Context;
use crate::exit::{CliError, Exit, chain};
use crate::settings::Settings;
use crate::settings_history::{HistoryKind, HistorySettings};

/// The file, where there is a state folder to keep it in and something is kept at all.
pub(crate) fn path(settings: &Settings) -> Option<PathBuf> {
    let kept = settings.history.kind != HistoryKind::Off;
    settings.state.as_ref().filter(|_| kept).map(|state| state.join("history.db"))
}

/// How much is kept, by the settings.
pub(crate) fn limits(settings: &HistorySettings) -> Limits {
    Limits {
        raw_for: settings.keep_raw,
        five_minutes_for: settings.keep_fine,
        keep_for: settings.keep,
        max_bytes: settings.max_size.unwrap_or(u64::MAX),
        ..Limits::default()
    }
}

/// Reads the file, which holds the events in any case.
pub(crate) fn reader(context: &Context<'_>) -> Result<Reader, CliError> {
    match path(context.settings()) {
        Some(path) => Ok(Reader::new(&path)),
        None if context.settings().history.kind == HistoryKind::Off => Err(off()),
        None => {
            context.state_folder()?;
            Err(off())
        }
    }
}

fn off() -> CliError {
    CliError::usage("history.kind is off, so nothing is kept over time")
        .hint("larder config set history.kind local")
}

/// What trends are read from.
pub(crate) fn series(context: &Context<'_>) -> Result<Box<dyn Series>, CliError> {
    let settings = &context.settings().history;
    if settings.kind != HistoryKind::Prometheus {
        return Ok(Box::new(reader(context)?));
    }
    let prometheus =
        PrometheusHistory::new(prometheus(settings)?).map_err(|e| failed(context, &e))?;
    Ok(Box::new(prometheus))
}

fn prometheus(settings: &HistorySettings) -> Result<PrometheusSettings, CliError> {
    let url = settings.url.clone().ok_or_else(|| {
        CliError::usage("history.kind is prometheus, and history.url is not set")
            .hint("larder config set history.url http://HOST:9090")
    })?;
    let credential = match (&settings.username, &settings.password_file, &settings.bearer_file) {
        (None, None, None) => Credential::None,
        (Some(user), Some(file), None) => {
            Credential::Basic { user: user.clone(), password_file: file.clone() }
        }
        (None, None, Some(file)) => Credential::Bearer { file: file.clone() },
        _ => {
            let what = "history: username and password-file belong together, bearer-file alone";
            return Err(CliError::usage(what));
        }
    };
    Ok(PrometheusSettings {
        url,
        credential,
        matchers: settings.labels.as_deref().map_or(Ok(Vec::new()), labels)?,
        host_label: settings.host_label.clone(),
        timeout: settings.timeout,
    })
}

/// `job=larder, env=prod`; a value may stand in quotes.
fn labels(text: &str) -> Result<Vec<(String, String)>, CliError> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let label = |part: &str| match part.split_once('=') {
        Some((name, value)) => {
            Ok((name.trim().to_owned(), value.trim().trim_matches('"').to_owned()))
        }
        None => Err(CliError::usage(format!("history.labels: {part:?} is no NAME=VALUE"))),
    };
    parts.map(label).collect()
}

/// Says loudly that a damaged file was set aside.
pub(crate) fn say(context: &Context<'_>, aside: Option<&SetAside>) {
    if let Some(aside) = aside {
        let path = aside.path.display();
        let text = format!("the history was damaged and is now {path}: {}", aside.why);
        context.printer.warning(&text);
    }
}

/// Sets the file aside where this error met damage, so that the next run begins a new one.
pub(crate) fn mend(context: &Context<'_>, error: &HistoryError) {
    let path = path(context.settings()).filter(|_| error.is_damage());
    if let Some(Ok(aside)) = path.map(|path| Store::set_aside(&path, error)) {
        say(context, aside.as_ref());
    }
}

/// An error of the history on its way to a person.
pub(crate) fn failed(context: &Context<'_>, error: &SeriesError) -> CliError {
    let what = chain(error);
    match error {
        SeriesError::Setup(_) => CliError::usage(what).hint("larder config show history"),
        SeriesError::Denied { .. } => CliError::new(Exit::Unreachable, what)
            .hint("username and password-file, or bearer-file, in [history]"),
        SeriesError::Unreachable { .. } => CliError::new(Exit::Unreachable, what)
            .hint("larder config show history, or larder trend --sample 300s without a history"),
        SeriesError::Answer { .. } => CliError::new(Exit::Unreachable, what)
            .hint("labels and host-label in [history] say which lines are meant"),
        SeriesError::History(error) => unreadable(context, error),
    }
}

/// An error of the file on its way to a person.
pub(crate) fn unreadable(context: &Context<'_>, error: &HistoryError) -> CliError {
    mend(context, error);
    let what = format!("cannot read the history: {}", chain(error));
    match error {
        HistoryError::Newer { .. } => {
            CliError::refused(what).hint("use the newer larder that made it")
        }
        _ => CliError::new(Exit::Partly, what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_names_with_values() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let read = labels("job=larder, env = \"prod\",").unwrap();
        assert_eq!(read, [pair("job", "larder"), pair("env", "prod")]);
        assert!(labels("job").is_err());
    }

    #[test]
    fn half_a_login_is_refused() {
        let whole = HistorySettings {
            url: Some("http://127.0.0.1:9090".to_owned()),
            username: Some("me".to_owned()),
            password_file: Some("/p".into()),
            ..HistorySettings::default()
        };
        assert!(prometheus(&whole).is_ok());
        assert!(prometheus(&HistorySettings { username: None, ..whole.clone() }).is_err());
        let both = HistorySettings { bearer_file: Some("/b".into()), ..whole.clone() };
        assert!(prometheus(&both).is_err());
        assert!(prometheus(&HistorySettings { url: None, ..whole }).is_err());
    }
}
