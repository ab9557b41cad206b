//! A round each night for machines without systemd: a line of cron, an agent of launchd, a task of
//! the Windows Task Scheduler.
//!
//! Each runs `larder watch --once`, which does what the daemon would. The program is named in full,
//! as none of them knows the PATH of a person.

use super::{ExportedFile, filled};

/// Every file, for this program.
pub fn files(program: &str) -> Vec<ExportedFile> {
    let xml = in_xml(program);
    vec![
        filled(
            "larder.crontab",
            include_str!("../../export/cron/larder.crontab"),
            &[("@PROGRAM@", &in_crontab(program))],
        ),
        filled(
            "larder.plist",
            include_str!("../../export/cron/larder.plist"),
            &[("@PROGRAM@", &xml)],
        ),
        filled(
            "larder-task.xml",
            include_str!("../../export/cron/larder-task.xml"),
            &[("@PROGRAM@", &xml)],
        ),
    ]
}

/// A word for the shell of cron, to which `%` is the end of a line.
fn in_crontab(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | '+' | ':');
    if text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''").replace('%', "\\%"))
}

fn in_xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_named_as_each_reads_it() {
        assert_eq!(in_crontab("/usr/bin/larder"), "/usr/bin/larder");
        assert_eq!(in_crontab("/a b/50%/it's"), "'/a b/50\\%/it'\\''s'");
        assert_eq!(in_xml("C:\\R&D\\larder.exe"), "C:\\R&amp;D\\larder.exe");
    }
}
