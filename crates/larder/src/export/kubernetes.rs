//! Manifests for Kubernetes: a round each night, larder on every node, larder beside a Redis.
//!
//! Promised: no rights beyond those of the user that builds, no token, a read-only root, limits,
//! probes, and secrets by reference only. Left out: a namespace, and how volumes come to be.

use super::{ExportedFile, filled};

/// Every file, with this image.
pub fn files(image: &str) -> Vec<ExportedFile> {
    let image = image.replace('\\', "\\\\").replace('"', "\\\"");
    let gaps = [("@IMAGE@", &image[..])];
    vec![
        filled("config.yaml", include_str!("../../export/kubernetes/config.yaml"), &[]),
        filled("cronjob.yaml", include_str!("../../export/kubernetes/cronjob.yaml"), &gaps),
        filled("daemonset.yaml", include_str!("../../export/kubernetes/daemonset.yaml"), &gaps),
        filled("sidecar.yaml", include_str!("../../export/kubernetes/sidecar.yaml"), &gaps),
        filled(
            "networkpolicy.yaml",
            include_str!("../../export/kubernetes/networkpolicy.yaml"),
            &[],
        ),
        filled(
            "kustomization.yaml",
            include_str!("../../export/kubernetes/kustomization.yaml"),
            &[],
        ),
    ]
}
