//! The screens of `larder throttle` and `larder unthrottle`.

use std::fmt::Write as _;
use std::time::Duration;

use larder_core::time::Age;
use larder_redis::throttle::{COSTLY, Deny, Subject, Survey, UserLimit};
use larder_redis::throttle_client::{Found, comes_back_as_itself};

use crate::printer::{COMMAND, STRONG, Screen, WARN};
use crate::text::{counted, minute, plain, took, wrapped};
use crate::throttle_evidence::OnRecord;
use crate::throttles;
use crate::wire_throttle::ThrottleReport;

/// Patterns that are shown as the reason.
const REASONS: usize = 3;

/// What a limit on a user would do.
pub(crate) fn preview(
    cache: &str,
    wanted: &UserLimit,
    length: Duration,
    survey: &Survey,
    on_record: &OnRecord,
    screen: &Screen,
) -> String {
    let user = plain(&wanted.user).into_owned();
    let servers = counted(survey.nodes.len() as u64, "server", "servers");
    let for_time = Age(length);
    let mut text = String::new();
    let list = |names: &[String]| wrapped(&names.join(" "), 2, screen.width);
    match &wanted.deny {
        Deny::Everything => {
            let _ = writeln!(
                text,
                "For {for_time} user {STRONG}{user}{STRONG:#} may run no command of {cache}, on \
                 {servers}."
            );
        }
        Deny::Named(names) => {
            let _ = writeln!(
                text,
                "For {for_time} user {STRONG}{user}{STRONG:#} of {cache} may not run, on {servers}:"
            );
            let _ = writeln!(text, "  {}", list(names));
        }
        Deny::Costly(also) => {
            let _ = writeln!(
                text,
                "For {for_time} user {STRONG}{user}{STRONG:#} of {cache} may not run, on {servers}:"
            );
            if !also.is_empty() {
                let _ = writeln!(text, "  {}, which the slow log names it for:", list(also));
                for reason in on_record.sentences.iter().take(REASONS) {
                    let _ = writeln!(text, "      {}", plain(reason));
                }
            }
            let also = |name: &str| also.iter().any(|also| also == name);
            let names: Vec<String> =
                COSTLY.iter().filter(|name| !also(name)).map(|&name| name.to_owned()).collect();
            let _ = writeln!(text, "  {}", list(&names));
        }
    }
    let open = match survey.connections {
        0 => "It has no open connection now.".to_owned(),
        1 => "Its open connection feels it at once.".to_owned(),
        many => format!("Its {many} open connections feel it at once."),
    };
    let rest = if wanted.deny == Deny::Everything { "" } else { "Everything else stays. " };
    let _ = writeln!(text, "{rest}{open}");
    for (_, error) in &survey.failed {
        let _ = writeln!(text, "{WARN}warning{WARN:#}  not there: {}", plain(&error.to_string()));
    }
    text
}

/// What would be done to a client.
pub(crate) fn client(found: &Found, length: Duration) -> String {
    let client = &found.client;
    let mut who = format!("Client {} of {}: {}", client.id, found.server.address(), client.address);
    if !client.name.is_empty() {
        let _ = write!(who, ", {}", client.name);
    }
    let user = client.user.as_ref().map(|user| format!("user {user}"));
    for part in user.iter().chain(&client.library) {
        let _ = write!(who, ", {part}");
    }
    let who = plain(&who).into_owned();
    let connected = format!("connected for {}, last sent {}", Age(client.age), client.command);
    let then = if comes_back_as_itself(client) {
        format!(
            "It is disconnected, and for {} so is whoever comes from {} with this name and user.",
            Age(length),
            client.host()
        )
    } else {
        "It is disconnected once: without a name it cannot be told from others of its host when it \
         comes back."
            .to_owned()
    };
    format!("{who}\n  {}\n{}\n", plain(&connected), plain(&then))
}

/// What would be done to scripts.
pub(crate) fn scripts(cache: &str, limit: Duration, length: Duration, servers: usize) -> String {
    format!(
        "For {} every script of {cache} that runs for longer than {} is ended, on {}, unless it \
         has written.\n",
        Age(length),
        took(limit),
        counted(servers as u64, "server", "servers"),
    )
}

/// It is in force.
pub(crate) fn begun(report: &ThrottleReport, screen: &Screen) -> String {
    let who = throttles::who(&report.throttle.subject);
    let until = minute(report.throttle.until);
    let length = Age(report.throttle.until.since(screen.now));
    let still = if report.extended { "stays" } else { "is" };
    match &report.throttle.subject {
        Subject::User { .. } => {
            format!("{} {still} limited for {length}, until {until}.", big(&who))
        }
        Subject::Client { .. } => format!("It is kept out for {length}, until {until}."),
        Subject::Scripts { .. } => format!("Scripts are watched for {length}, until {until}."),
    }
}

/// What came of a limit.
pub(crate) fn report(cache: &str, report: &ThrottleReport, screen: &Screen) -> String {
    if report.state == "in-force" {
        return in_force(cache, report, screen);
    }
    ended(cache, std::slice::from_ref(report), screen)
}

/// All that is in force.
pub(crate) fn list(cache: &str, reports: &[ThrottleReport], screen: &Screen) -> String {
    if reports.is_empty() {
        return format!("Nobody is limited on {cache} from here.\n");
    }
    reports.iter().map(|report| in_force(cache, report, screen)).collect()
}

fn in_force(cache: &str, report: &ThrottleReport, screen: &Screen) -> String {
    let throttle = &report.throttle;
    let who = big(&plain(&throttles::who(&throttle.subject)));
    let left = Age(throttle.until.since(screen.now));
    let mut text = format!("{who} is limited for {left} more, until {}\n", minute(throttle.until));
    for node in throttles::nodes(throttle) {
        let denied = wrapped(&node.denied.join(" "), 4, screen.width);
        let _ = writeln!(text, "  {}\n    {denied}", plain(&node.address));
    }
    for node in report.nodes.iter().filter(|node| node.error.is_some()) {
        let error = node.error.as_deref().unwrap_or_default();
        let _ = writeln!(text, "{WARN}warning{WARN:#}  {}", plain(error));
    }
    let flag = match &throttle.subject {
        Subject::User { user, .. } => format!("--user {user}"),
        Subject::Client { id, node } => format!("--client {id}@{node}"),
        Subject::Scripts { .. } => "--all".to_owned(),
    };
    let _ = writeln!(
        text,
        "End it now: {COMMAND}larder unthrottle {} {}{COMMAND:#}",
        plain(cache),
        plain(&flag)
    );
    text
}

/// What was given back.
pub(crate) fn ended(cache: &str, reports: &[ThrottleReport], _screen: &Screen) -> String {
    if reports.is_empty() {
        return format!("Nobody is limited on {cache} from here.\n");
    }
    let mut text = String::new();
    for report in reports {
        let who = big(&plain(&throttles::who(&report.throttle.subject)));
        let _ = match (&report.throttle.subject, report.state) {
            (_, "planned") => writeln!(text, "Nothing was done. Run without -n to do it."),
            (_, "needless") => writeln!(
                text,
                "{who} may run none of these commands anyway: nothing was changed. \
                 --deny names others."
            ),
            (Subject::User { .. }, _) => writeln!(text, "{}", given_back(&who, report)),
            (Subject::Client { .. }, _) => {
                let times = counted(report.disconnected, "time", "times");
                writeln!(text, "{who} was disconnected {times}.")
            }
            (Subject::Scripts { .. }, _) => {
                let ended = counted(report.scripts_ended, "script was", "scripts were");
                writeln!(text, "{ended} ended.")
            }
        };
        for node in &report.nodes {
            if let Some(error) = &node.error {
                let _ = writeln!(text, "{WARN}warning{WARN:#}  {}", plain(error));
            }
        }
        if report.state == "partly-ended" {
            let _ = writeln!(
                text,
                "It stays written down, and the next larder that talks to {} gives it back:\n  \
                 {COMMAND}larder unthrottle {} --all{COMMAND:#}",
                plain(cache),
                plain(cache)
            );
        }
    }
    text
}

fn given_back(who: &str, report: &ThrottleReport) -> String {
    let servers = |state: &str| counted(report.count(state) as u64, "server", "servers");
    let mut parts = Vec::new();
    for (state, what) in [
        ("restored", "has its rules back, exactly as before, on"),
        ("merged", "has back what larder took away, beside what somebody else changed, on"),
        ("already", "had its rules back already on"),
        ("gone", "does not exist any more on"),
        ("not-restored", "is STILL LIMITED on"),
    ] {
        if report.count(state) > 0 {
            parts.push(format!("{what} {}", servers(state)));
        }
    }
    format!("{who} {}.", parts.join("; "))
}

/// With a capital.
fn big(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + chars.as_str())
}
