//! Addresses of hosts, looked up once a run.
//!
//! ureq asks for a host's addresses before every request, even where it then takes a connection
//! that is open already. A look-up that loses one packet takes five seconds, so that a thousand
//! of them can cost more than the download.
//!
//! Promises: threads that want the same host wait for one look-up; a failure is not kept, and
//! addresses nobody could connect to are looked up anew.

use std::io;
use std::sync::Arc;

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::once::Once;

/// The addresses that are known, by host and port; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    known: Arc<Once<String, ResolvedSocketAddrs>>,
}

impl Names {
    /// Looks this host up again the next time.
    pub(crate) fn forget(&self, host: &str) {
        self.known.forget(&host.to_owned());
    }
}

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let system = DefaultResolver::default();
        let named = uri.scheme().zip(uri.authority());
        let host = named.and_then(|(of, host)| DefaultResolver::host_and_port(of, host));
        match host {
            Some(host) => self.known.get(&host, || system.resolve(uri, config, timeout)),
            None => system.resolve(uri, config, timeout),
        }
        .map_err(|error| match error {
            // So that it can be told from errors of connections.
            Error::Io(error) => Error::Io(io::Error::new(io::ErrorKind::NotFound, error)),
            other => other,
        })
    }
}
