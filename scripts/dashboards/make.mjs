// Writes each exported document as a TypeScript literal of the type that it should have: a literal,
// so that a misspelt or unknown field is an error too.
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { parseAllDocuments } from "yaml";

mkdirSync("checked", { recursive: true });
const literal = (name, type, value) =>
  writeFileSync(
    `checked/${name}.ts`,
    `import type { ${type} } from "../types";\nexport const it: ${type} = ${JSON.stringify(value, null, 1)};\n`,
  );

for (const name of readdirSync("exported/dashboards")) {
  const dashboard = JSON.parse(readFileSync(`exported/dashboards/${name}`, "utf8"));
  literal(name.replace(".json", ""), "CheckedDashboard", dashboard);
}
for (const name of readdirSync("exported/kubernetes")) {
  if (name === "kustomization.yaml") continue;
  const documents = parseAllDocuments(readFileSync(`exported/kubernetes/${name}`, "utf8"));
  documents.forEach((document, index) => {
    const manifest = document.toJS();
    literal(`${name.replace(".yaml", "")}-${index}`, manifest.kind, manifest);
  });
}
