//! Jobs that the ticker handed out, and what came of them.
//!
//! Promises: handing out never waits, and that nobody works any more is noticed. Leaves out what a
//! job is and does (`work.rs`).

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError};
use std::time::Duration;

use super::work::{Done, Job};

/// How often somebody who waits for all of it looks whether the worker still lives.
const LOOK: Duration = Duration::from_millis(200);

/// The ways to the threads that work, and the way back.
pub(crate) struct Handed {
    jobs: SyncSender<Job>,
    /// A sick Redis waits for no build, nor for whoever waits for one.
    answers: SyncSender<Job>,
    results: Receiver<Done>,
    /// Jobs that are not over.
    open: usize,
    works: bool,
}

/// Too much waits already: what was left out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full(pub &'static str);

impl Handed {
    /// Nothing is handed out yet.
    pub(crate) fn new(
        jobs: SyncSender<Job>,
        answers: SyncSender<Job>,
        results: Receiver<Done>,
    ) -> Self {
        Self { jobs, answers, results, open: 0, works: true }
    }

    /// Hands a job out.
    pub(crate) fn give(&mut self, job: Job) -> Result<(), Full> {
        let name = job.name();
        let way = if matches!(job, Job::Respond(_)) { &self.answers } else { &self.jobs };
        match way.try_send(job) {
            Ok(()) => self.open += 1,
            Err(TrySendError::Full(_)) => return Err(Full(name)),
            Err(TrySendError::Disconnected(_)) => self.works = false,
        }
        Ok(())
    }

    /// Whether all of it is done.
    pub(crate) fn is_idle(&self) -> bool {
        self.open == 0
    }

    /// How many are not over.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    /// Whether somebody still works. The worker ends early only by a defect, which is told when it is
    /// joined.
    pub(crate) fn works(&self) -> bool {
        self.works
    }

    /// What came of jobs by now.
    pub(crate) fn take(&mut self) -> Vec<Done> {
        let mut all = Vec::new();
        loop {
            match self.results.try_recv() {
                Ok(done) => all.push(self.counted(done)),
                Err(error) => {
                    self.works &= error == TryRecvError::Empty;
                    return all;
                }
            }
        }
    }

    /// The next result; `None` once all jobs are over, or nobody works any more.
    pub(crate) fn wait(&mut self) -> Option<Done> {
        while !self.is_idle() {
            match self.results.recv_timeout(LOOK) {
                Ok(done) => return Some(self.counted(done)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.works = false;
                    return None;
                }
            }
        }
        None
    }

    fn counted(&mut self, done: Done) -> Done {
        if matches!(done, Done::Ended) {
            self.open = self.open.saturating_sub(1);
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn that_nobody_works_any_more_is_noticed_with_the_last_result() {
        let (jobs, inbox) = mpsc::sync_channel(1);
        let (answers, _sick) = mpsc::sync_channel(1);
        let (tell, results) = mpsc::channel();
        let mut handed = Handed::new(jobs, answers, results);
        handed.give(Job::Scan).unwrap();
        assert_eq!(handed.give(Job::Scan), Err(Full(Job::Scan.name())));
        tell.send(Done::Ended).unwrap();
        assert_eq!((handed.take().len(), handed.is_idle(), handed.works()), (1, true, true));
        assert!(handed.take().is_empty() && handed.wait().is_none() && handed.works());
        tell.send(Done::Ended).unwrap();
        drop((tell, inbox));
        assert_eq!((handed.take().len(), handed.works()), (1, false));
    }
}
