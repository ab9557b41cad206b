//! `larder throttle --client` and `--scripts`: nothing on a server is changed, so nothing has to be
//! undone; what is in force is what this larder does until its time is over.

use std::time::Duration;

use larder_core::time::Age;
use larder_redis::throttle::{Subject, Throttle, servers};
use larder_redis::throttle_client::{
    self, Found, check, comes_back_as_itself, disconnect, disconnect_again,
};
use larder_redis::throttle_scripts::{ScriptLook, ScriptWatch};
use larder_redis::{Deployment, Link, RedisError};

use super::throttle::Session;
use crate::args_throttle::ClientArg;
use crate::exit::{CliError, Exit};
use crate::redis_target;
use crate::render_throttle;
use crate::throttle_hold::{Why, hold};
use crate::throttles;
use crate::wire_throttle::ThrottleReport;

impl Session<'_> {
    pub(crate) fn client(&self, wanted: &ClientArg) -> Result<Exit, CliError> {
        let failed = |error| redis_target::failed(&error);
        let deployment = Deployment::discover(&self.target.endpoint).map_err(failed)?;
        let found = throttle_client::find(&deployment, wanted.id, wanted.node.as_deref())
            .map_err(|error| throttles::failed(&error))?;
        check(&found).map_err(|error| throttles::failed(&error))?;
        let length = self.args.length.unwrap_or_default();
        let node = found.server.address().to_owned();
        let subject = Subject::Client { node: node.clone(), id: wanted.id };
        let throttle = self.planned(subject);
        let preview = render_throttle::client(&found, length);
        let mut report = ThrottleReport::new(throttle, "planned", "watched");
        report.set(&node, "watched", None);
        if self.args.dry_run {
            self.context.printer.note(preview.trim_end());
            self.show(&report);
            return Ok(Exit::Done);
        }
        let cache = &self.target.cache;
        self.ask(&preview, &format!("Disconnect client {} of {cache}?", wanted.id))?;
        let mut link = Link::open(&found.server, "throttle").map_err(failed)?;
        if disconnect(&mut link, &found.client).map_err(failed)? {
            report.disconnected = 1;
            self.tell_disconnected(&found, wanted.id);
        }
        if !comes_back_as_itself(&found.client) {
            report.state = "ended";
            report.ended = Some(larder_fs::now());
            self.show(&report);
            return Ok(Exit::Done);
        }
        self.watched(report, |report| {
            for other in disconnect_again(&mut link, &found.client)? {
                report.disconnected += 1;
                self.tell_disconnected(&found, other.id);
            }
            Ok(())
        })
    }

    fn tell_disconnected(&self, found: &Found, id: u64) {
        let client = &found.client;
        let data = vec![
            ("node", found.server.address().to_owned()),
            ("client_id", id.to_string()),
            ("address", client.host().to_owned()),
            ("name", client.name.clone()),
            ("user", client.user.clone().unwrap_or_default()),
        ];
        let message = format!("client {id} of {} was disconnected", found.server.address());
        self.hands.teller().tell("client-disconnected", message, data);
    }

    pub(crate) fn scripts(&self) -> Result<Exit, CliError> {
        // A server that is at a script does not say what it belongs to.
        let deployment = match Deployment::discover(&self.target.endpoint) {
            Ok(deployment) => deployment,
            Err(RedisError::Busy { .. } | RedisError::TimedOut { .. }) => {
                Deployment::alone(&self.target.endpoint)
            }
            Err(error) => return Err(redis_target::failed(&error)),
        };
        let (limit, length) = (self.args.longer_than, self.args.length.unwrap_or_default());
        let subject = Subject::Scripts { longer_than: limit };
        let mut report = ThrottleReport::new(self.planned(subject), "planned", "watched");
        let servers = servers(&deployment);
        for server in &servers {
            report.set(server.address(), "watched", None);
        }
        let preview = render_throttle::scripts(&self.target.cache, limit, length, servers.len());
        if self.args.dry_run {
            self.context.printer.note(preview.trim_end());
            self.show(&report);
            return Ok(Exit::Done);
        }
        self.ask(&preview, &format!("End long scripts of {}?", self.target.cache))?;
        let mut watches: Vec<Script> = servers.into_iter().map(Script::new).collect();
        self.watched(report, |report| {
            let mut failed = None;
            for watch in &mut watches {
                if let Err(error) = self.look(watch, limit, report) {
                    failed = failed.or(Some(error));
                }
            }
            failed.map_or(Ok(()), Err)
        })
    }

    fn look(
        &self,
        script: &mut Script,
        limit: Duration,
        report: &mut ThrottleReport,
    ) -> Result<(), RedisError> {
        let look = script.look(limit)?;
        let address = script.server.address().to_owned();
        let data = |ran: Duration| vec![("node", address.clone()), ("ran", Age(ran).to_string())];
        let told = matches!(look, ScriptLook::Unkillable(_)) && script.told;
        script.told = matches!(look, ScriptLook::Unkillable(_));
        match look {
            ScriptLook::Ended(ran) => {
                report.scripts_ended += 1;
                let message = format!("a script of {address} was ended after {}", Age(ran));
                self.context.printer.note(&message);
                self.hands.teller().tell("script-ended", message, data(ran));
            }
            ScriptLook::Unkillable(ran) if !told => {
                report.scripts_left += 1;
                let message = format!(
                    "a script of {address} has written, so Redis ends it for nobody: only waiting \
                     helps"
                );
                self.context.printer.warning(&message);
                self.hands.teller().tell("script-left", message, data(ran));
            }
            ScriptLook::Unkillable(_) | ScriptLook::Running(_) | ScriptLook::Idle => {}
        }
        Ok(())
    }

    /// Does it again and again until the time is over; a server that does not answer is asked
    /// again, and that is said once.
    fn watched(
        &self,
        mut report: ThrottleReport,
        mut step: impl FnMut(&mut ThrottleReport) -> Result<(), RedisError>,
    ) -> Result<Exit, CliError> {
        report.state = "in-force";
        report.throttle.id = larder_engine::keys::new_id();
        let throttle: Throttle = report.throttle.clone();
        {
            let _lock = self.hands.store.lock()?;
            self.hands.store.put(&throttle)?;
        }
        let screen = self.context.screen();
        self.context.printer.note(&render_throttle::begun(&report, &screen));
        self.context.printer.note("Ctrl-C ends it at once.");
        let mut down = false;
        let why = hold(self.context, self.hands.store, &throttle, || {
            let done = step(&mut report);
            if let Err(error) = &done
                && !down
            {
                self.context.printer.warning(&format!("{error}; it is asked again"));
            }
            down = done.is_err();
        });
        throttles::end(&self.hands, &throttle.id)?;
        report.state = "ended";
        report.ended = Some(larder_fs::now());
        self.show(&report);
        Ok(match (why, report.scripts_left) {
            (Why::Interrupted, _) => Exit::Interrupted,
            (Why::Over | Why::Elsewhere, 0) => Exit::Done,
            (Why::Over | Why::Elsewhere, _) => Exit::Partly,
        })
    }
}

/// A server whose scripts are watched; one that is at a script may not even be connected to.
struct Script {
    server: larder_redis::Endpoint,
    watch: Option<ScriptWatch>,
    /// That a script cannot be ended was said.
    told: bool,
}

impl Script {
    fn new(server: larder_redis::Endpoint) -> Self {
        Self { server, watch: None, told: false }
    }

    fn look(&mut self, limit: Duration) -> Result<ScriptLook, RedisError> {
        let watch = match &mut self.watch {
            Some(watch) => watch,
            None => self.watch.insert(ScriptWatch::new(Link::open(&self.server, "throttle")?)),
        };
        watch.look(limit)
    }
}
