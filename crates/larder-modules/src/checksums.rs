//! The checksum database as a verification asks it.

use larder_go::mod_verify::Checksums;

use crate::sumdb::SumDb;

impl Checksums for SumDb {
    fn covers(&self, module: &str) -> bool {
        self.needs(module)
    }

    /// Both lines: of the content, and of the go.mod, which a toolchain does not have.
    fn lines(&self, module: &str, version: &str) -> Result<Vec<String>, String> {
        let mut lines = self.lookup(module, version).map_err(|error| error.to_string())?;
        lines.extend(self.lookup(module, &format!("{version}/go.mod")).unwrap_or_default());
        Ok(lines)
    }
}
