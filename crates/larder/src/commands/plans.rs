//! `larder plans`.

use larder_core::time::Age;

use crate::context::Context;
use crate::exit::{CliError, Exit};
use crate::printer::{DIM, Screen};
use crate::table::{Align, Column, Table};
use crate::waiting::{self, Waiting};
use crate::wire_plans::{PlansDoc, state};

pub(crate) fn run(context: &Context<'_>) -> Result<Exit, CliError> {
    let plans = waiting::list(context.state_folder()?);
    context.printer.show(|| PlansDoc::from(&plans[..]), || render(&plans, &context.screen()));
    Ok(Exit::Done)
}

fn render(plans: &[Waiting], screen: &Screen) -> String {
    if plans.is_empty() {
        return "No plan waits.\n".to_owned();
    }
    let mut table = Table::new(vec![
        Column::new("ID", Align::Left),
        Column::flexible("CACHE", Align::Left, 8),
        Column::new("ITEMS", Align::Right),
        Column::new("SIZE", Align::Right),
        Column::new("AGE", Align::Right),
        Column::flexible("STATE", Align::Left, 8),
    ]);
    for waiting in plans {
        let keys: u64 = waiting.plan.keys.iter().map(|item| item.estimated_bytes).sum();
        let bytes = waiting.plan.total().allocated.0 + keys;
        let by =
            waiting.approved_by.as_ref().map_or_else(String::new, |(by, _)| format!(" by {by}"));
        table.row(vec![
            waiting.plan.id.as_str().into(),
            waiting.caches().join(", ").into(),
            (waiting.plan.items.len() + waiting.plan.keys.len()).to_string().into(),
            screen.units.show(bytes).to_string().into(),
            Age(screen.now.since(waiting.plan.created_at)).to_string().into(),
            format!("{}{by}", state(waiting.approval)).into(),
        ]);
    }
    table.render(screen.width, DIM) + "\nRead one and decide: larder approve ID\n"
}
