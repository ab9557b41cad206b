//! What takes larder's log to Elasticsearch: settings of Fluentd and of Filebeat, and the index
//! template.
//!
//! The log is one JSON object a line with names of the Elastic Common Schema: `@timestamp`,
//! `log.level`, `message`, `event.action`, `event.dataset`, `event.outcome`, `trace.id`,
//! `service.name`, `host.name`, and beside them `larder.cache`, `larder.plan_id` and `labels.*`. So
//! nothing has to be parsed or renamed on the way.

use super::{ExportedFile, filled};

/// Every file.
pub fn files() -> Vec<ExportedFile> {
    vec![
        filled("fluent.conf", include_str!("../../export/logging/fluent.conf"), &[]),
        filled("filebeat.yml", include_str!("../../export/logging/filebeat.yml"), &[]),
        filled(
            "larder-template.json",
            include_str!("../../export/logging/larder-template.json"),
            &[],
        ),
    ]
}
