//! `larder throttle`.

use larder_core::time::Age;
use larder_redis::Deployment;
use larder_redis::throttle::{Deny, Lifted, Subject, Survey, Throttle, UserLimit, survey};

use crate::args_throttle::ThrottleArgs;
use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::redis_target::{self, RedisTarget};
use crate::throttle_evidence::{self, OnRecord};
use crate::throttle_hold::{PATIENCE, Why, give_back, hold};
use crate::throttle_store::ThrottleStore;
use crate::throttles::{self, Begun, Hands, Returned, Term};
use crate::wire_throttle::{ThrottleDoc, ThrottleReport};
use crate::{history_keep, render_throttle};

/// What the three ways of `larder throttle` share.
pub(crate) struct Session<'a> {
    pub context: &'a Context<'a>,
    pub args: &'a ThrottleArgs,
    pub target: &'a RedisTarget,
    pub hands: Hands<'a>,
}

pub(crate) fn run(context: &Context<'_>, args: &ThrottleArgs) -> Result<Exit, CliError> {
    if !redis_target::is_redis(&args.cache) {
        return Err(CliError::usage(format!("{} is not a Redis", args.cache))
            .hint("larder throttle redis:NAME --user USER --for 10m"));
    }
    crate::interrupt::stop_with_the_terminal(&context.meter);
    let target = redis_target::find(context, &args.cache)?;
    let store = ThrottleStore::new(context.state_folder()?);
    let trace_id = larder_engine::keys::new_id();
    let say = |event: larder_core::Event| {
        context.printer.detail(&event.message);
        history_keep::told(context, event);
    };
    let hands = Hands { store: &store, target: &target, trace_id: &trace_id, say: &say };
    let session = Session { context, args, target: &target, hands };
    match (&args.user, &args.client) {
        (Some(user), _) => session.user(user),
        (None, Some(client)) => session.client(client),
        (None, None) if args.scripts => session.scripts(),
        (None, None) => Ok(session.list()),
    }
}

impl Session<'_> {
    /// A limit that nothing was done for yet.
    pub(crate) fn planned(&self, subject: Subject) -> Throttle {
        let now = larder_fs::now();
        Throttle {
            id: String::new(),
            cache: self.target.cache.clone(),
            url: self.target.endpoint.url(),
            subject,
            began: now,
            until: now.plus(self.args.length.unwrap_or_default()),
            evidence: Vec::new(),
        }
    }

    /// Shows what came of it.
    pub(crate) fn show(&self, report: &ThrottleReport) {
        let reports = std::slice::from_ref(report);
        let screen = self.context.screen();
        self.context.printer.show(
            || ThrottleDoc::new(&self.target.cache, reports),
            || render_throttle::report(&self.target.cache, report, &screen),
        );
    }

    /// Asks, unless `--yes` has answered.
    pub(crate) fn ask(&self, preview: &str, question: &str) -> Result<(), CliError> {
        self.context.printer.note(preview.trim_end());
        if self.args.yes || self.context.printer.confirm(question)? {
            return Ok(());
        }
        Err(CliError::refused("nobody was limited: the answer was no"))
    }

    fn list(&self) -> Exit {
        let all = throttles::in_force_on(self.hands.store, self.target);
        let report = |one| ThrottleReport::new(one, "in-force", "limited");
        let reports: Vec<ThrottleReport> = all.into_iter().map(report).collect();
        let screen = self.context.screen();
        self.context.printer.show(
            || ThrottleDoc::new(&self.target.cache, &reports),
            || render_throttle::list(&self.target.cache, &reports, &screen),
        );
        Exit::Done
    }

    fn user(&self, user: &str) -> Result<Exit, CliError> {
        let failed = |error| redis_target::failed(&error);
        let deployment = Deployment::discover(&self.target.endpoint).map_err(failed)?;
        let (deny, on_record) = self.deny(&deployment, user);
        let wanted = UserLimit { user: user.to_owned(), deny, force: self.args.force };
        let survey =
            survey(&deployment, &wanted, &[]).map_err(|error| throttles::failed(&error))?;
        let preview = self.preview(&wanted, &survey, &on_record);
        if self.args.dry_run {
            let mut report = self.report_planned(&wanted, &survey);
            report.throttle.evidence.clone_from(&on_record.evidence);
            let reports = [report];
            self.context.printer.show(
                || ThrottleDoc::new(&self.target.cache, &reports),
                || preview + "Nothing was done. Run without -n to do it.\n",
            );
            return Ok(Exit::Done);
        }
        let length = self.args.length.unwrap_or_default();
        let place = format!("{} ({})", self.target.cache, self.target.endpoint.address());
        self.ask(&preview, &format!("Limit user {user} of {place} for {}?", Age(length)))?;
        let term = Term { length, evidence: on_record.evidence };
        let begun = throttles::begin(&self.hands, &deployment, &wanted, term)?;
        self.held(user, begun)
    }

    fn deny(&self, deployment: &Deployment, user: &str) -> (Deny, OnRecord) {
        match (self.args.all_commands, self.args.deny.is_empty()) {
            (true, _) => (Deny::Everything, OnRecord::default()),
            (false, false) => (Deny::Named(self.args.deny.clone()), OnRecord::default()),
            (false, true) => {
                let on_record = throttle_evidence::of_user(self.context, deployment, user);
                (Deny::Costly(on_record.commands.clone()), on_record)
            }
        }
    }

    fn preview(&self, wanted: &UserLimit, survey: &Survey, on_record: &OnRecord) -> String {
        let length = self.args.length.unwrap_or_default();
        let screen = self.context.screen();
        render_throttle::preview(&self.target.cache, wanted, length, survey, on_record, &screen)
    }

    fn report_planned(&self, wanted: &UserLimit, survey: &Survey) -> ThrottleReport {
        let subject = Subject::User { user: wanted.user.clone(), nodes: survey.nodes.clone() };
        let mut report = ThrottleReport::new(self.planned(subject), "planned", "planned");
        for (address, error) in &survey.failed {
            report.set(address, "not-limited", Some(error.to_string()));
        }
        report
    }

    /// A limit is in force: holds it, and gives it back.
    fn held(&self, user: &str, begun: Begun) -> Result<Exit, CliError> {
        let Begun { throttle, failed, extended, needless } = begun;
        if throttles::nodes(&throttle).is_empty()
            && let Some((_, error)) = failed.first()
        {
            return Err(redis_target::failed(error));
        }
        let mut report = ThrottleReport::new(throttle.clone(), "in-force", "limited");
        report.extended = extended;
        for (address, error) in &failed {
            self.context.printer.warning(&format!("not limited there: {error}"));
            report.set(address, "not-limited", Some(error.to_string()));
        }
        if needless {
            report.state = "needless";
            self.show(&report);
            return Ok(Exit::Done);
        }
        let length = throttle.until.since(larder_fs::now());
        let servers = throttles::nodes(&throttle).len();
        self.hands.teller().tell(
            "throttled",
            format!("user {user} is limited for {} on {servers} servers", Age(length)),
            throttle.evidence.iter().map(|(name, value)| (name.as_str(), value.clone())).collect(),
        );
        let screen = self.context.screen();
        self.context.printer.note(&render_throttle::begun(&report, &screen));
        let state = self.context.state_folder()?;
        // A daemon knows only what the settings name.
        if !self.target.settings.name.is_empty() && crate::daemon::running(state) {
            if let Subject::User { user, .. } = &throttle.subject {
                crate::throttle_guard::post(self.context, &self.target.cache, user);
            }
            self.context.printer.note("The larder that watches here gives it back then.");
            self.show(&report);
            return Ok(partly(&failed, Exit::Done));
        }
        self.context.printer.note("Ctrl-C gives it back at once.");
        let why = hold(self.context, self.hands.store, &throttle, || {});
        let returned = match why {
            Why::Elsewhere => None,
            Why::Over | Why::Interrupted => {
                give_back(self.context, &self.hands, &throttle.id, PATIENCE)?
            }
        };
        Ok(partly(&failed, self.ended(report, why, returned)))
    }

    /// It is over: what became of each server, and how the run ends.
    fn ended(&self, mut report: ThrottleReport, why: Why, returned: Option<Returned>) -> Exit {
        let complete = finish(&mut report, returned);
        self.show(&report);
        match (complete, why) {
            (false, _) => Exit::Partly,
            (true, Why::Interrupted) => Exit::Interrupted,
            (true, Why::Over | Why::Elsewhere) => Exit::Done,
        }
    }
}

/// Servers that were never limited make the whole a part.
fn partly(failed: &[(String, larder_redis::RedisError)], exit: Exit) -> Exit {
    match exit {
        Exit::Done if !failed.is_empty() => Exit::Partly,
        exit => exit,
    }
}

/// Writes what was given back into the report; whether that is all. `None`: another larder did it.
pub(crate) fn finish(report: &mut ThrottleReport, returned: Option<Returned>) -> bool {
    let returned = returned.unwrap_or_else(|| {
        let nodes = throttles::nodes(&report.throttle).iter();
        nodes.map(|node| (node.address.clone(), Ok(Lifted::Already))).collect()
    });
    let complete = throttles::complete(&returned);
    for (address, lifted) in returned {
        let (state, error) = match lifted {
            Ok(Lifted::Restored) => ("restored", None),
            Ok(Lifted::Merged) => ("merged", None),
            Ok(Lifted::Already) => ("already", None),
            Ok(Lifted::Gone) => ("gone", None),
            Err(error) => ("not-restored", Some(error.to_string())),
        };
        report.set(&address, state, error);
    }
    report.state = if complete { "ended" } else { "partly-ended" };
    report.ended = complete.then(larder_fs::now);
    complete
}
