//! What an ACL user may do (<https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/>),
//! and the rules that take some of it away for a while.
//!
//! Promises: only commands are ever taken or given back. Passwords, keys, channels and whether the
//! user is on are never named in a rule, so that what somebody else changes of them meanwhile
//! stays; no password's hash is read into anything that is kept. What was added to the commands
//! meanwhile stays too.

use redis::Value;

use crate::error::RedisError;
use crate::link::Link;

/// A further set of permissions of a user (7.0). It cannot be changed, only be made again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// `~temp:*`, `%R~*`, ….
    pub keys: Vec<String>,
    /// `&news:*`, ….
    pub channels: Vec<String>,
    /// `-@all`, `+get`, ….
    pub commands: Vec<String>,
}

/// The commands of a user, in the server's own words and order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// `+@all`, `-@admin`, `+config|get`, ….
    pub commands: Vec<String>,
    /// Each allows more.
    pub selectors: Vec<Selector>,
}

impl Rules {
    /// Asks for the rules of this user; `None` where the server knows no such user.
    pub fn ask(link: &mut Link, user: &str) -> Result<Option<Self>, RedisError> {
        let answer: Value = link.ask(redis::cmd("ACL").arg("GETUSER").arg(user))?;
        if matches!(answer, Value::Nil) {
            return Ok(None);
        }
        let fields = fields(answer);
        // Without it nothing could be put back as it was.
        if !fields.iter().any(|(name, _)| name == "commands") {
            return Err(RedisError::Garbage {
                address: link.address().to_owned(),
                command: "ACL GETUSER".to_owned(),
                why: "no commands in it".to_owned(),
            });
        }
        let selectors = fields.iter().find(|(name, _)| name == "selectors");
        let selectors: Vec<Selector> = match selectors {
            Some((_, Value::Array(all))) => all.iter().cloned().map(Selector::read).collect(),
            _ => Vec::new(),
        };
        if selectors.iter().any(Selector::is_mangled) {
            return Err(RedisError::Setup {
                address: link.address().to_owned(),
                why: format!("a selector of user {user} is not UTF-8 and could not be made again"),
            });
        }
        Ok(Some(Self { commands: words(&fields, "commands"), selectors }))
    }

    /// What `ACL SETUSER` is told, after the user's name, to take `deny` away: names of commands
    /// and `@categories`. A selector that allows it would still allow it, so each is made again.
    pub fn denying(&self, deny: &[String]) -> Vec<String> {
        let mut rules: Vec<String> = deny.iter().map(|name| format!("-{name}")).collect();
        if !self.selectors.is_empty() {
            rules.push("clearselectors".to_owned());
            rules.extend(self.selectors.iter().map(|selector| selector.text(deny)));
        }
        rules
    }

    /// What `ACL SETUSER` is told, after the user's name, to go from `current` to these.
    pub fn replacing(&self, current: &Self) -> Vec<String> {
        // The server applies them to what there is now, so the commands begin from none.
        let mut rules = vec!["-@all".to_owned()];
        rules.extend(self.commands.iter().cloned());
        let pairs = || self.selectors.iter().zip(&current.selectors);
        let changed = self.selectors.len() != current.selectors.len()
            || pairs().any(|(wanted, current)| !wanted.same(current));
        if changed {
            rules.push("clearselectors".to_owned());
            rules.extend(self.selectors.iter().map(|selector| selector.text(&[])));
        }
        rules
    }

    /// The rules without the limit: exactly those that were `saved` where nothing else changed
    /// since they became `limited` (`None`: nobody knows, so nothing did), and otherwise the
    /// current ones without what was denied, with what that had displaced.
    #[must_use]
    pub fn lifted(&self, saved: &Self, limited: Option<&Self>, denied: &[String]) -> Self {
        let Some(limited) = limited else { return saved.clone() };
        let commands = if same(&self.commands, &limited.commands) {
            saved.commands.clone()
        } else {
            merged(&self.commands, &saved.commands, &limited.commands, denied)
        };
        let selectors = self.selectors.iter().map(|selector| {
            let at = limited.selectors.iter().position(|limited| limited.same(selector));
            at.and_then(|at| saved.selectors.get(at)).unwrap_or(selector).clone()
        });
        Self { commands, selectors: selectors.collect() }
    }

    /// Whether these allow the same. Some versions tell commands in an order that changes with
    /// every start of the server, so the order counts only where it means something.
    pub fn same(&self, other: &Self) -> bool {
        let pairs = || self.selectors.iter().zip(&other.selectors);
        same(&self.commands, &other.commands)
            && self.selectors.len() == other.selectors.len()
            && pairs().all(|(one, other)| one.same(other))
    }

    /// In one line, for people.
    pub fn text(&self) -> String {
        let mut text = self.commands.join(" ");
        for selector in &self.selectors {
            text = format!("{text} {}", selector.text(&[]));
        }
        text
    }
}

/// Whether two lists of rules allow the same commands.
fn same(one: &[String], other: &[String]) -> bool {
    one == other || settled(one) == settled(other)
}

/// Rules in one order: between two categories commands do not touch each other, but a command and
/// its own subcommands do.
fn settled(words: &[String]) -> Vec<&str> {
    let is_category = |word: &&str| word.get(1..).is_some_and(|name| name.starts_with('@'));
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    for commands in words.split_mut(is_category) {
        commands.sort_by(|one, other| command(one).cmp(command(other)));
    }
    words
}

/// `config` of `+config|get`.
fn command(word: &str) -> &str {
    word.get(1..).and_then(|name| name.split('|').next()).unwrap_or_default()
}

/// What is there now, without what we denied, with what our denials had displaced.
fn merged(
    current: &[String],
    saved: &[String],
    limited: &[String],
    denied: &[String],
) -> Vec<String> {
    let ours = |word: &String| {
        let name = word.strip_prefix('-');
        name.is_some_and(|name| denied.iter().any(|denied| denied == name)) && !saved.contains(word)
    };
    // `-@all` as a denial also stands at the beginning of most rules.
    let mut words: Vec<String> = current.iter().filter(|word| !ours(word)).cloned().collect();
    let displaced = saved.iter().filter(|word| !limited.contains(word));
    let displaced: Vec<String> = displaced.filter(|w| !words.contains(w)).cloned().collect();
    // What came later counts more: first what was there before us, then what was added since.
    let begin = words.iter().position(|word| !limited.contains(word)).unwrap_or(words.len());
    words.splice(begin..begin, displaced);
    words
}

impl Selector {
    fn read(value: Value) -> Self {
        let fields = fields(value);
        Self {
            keys: words(&fields, "keys"),
            channels: words(&fields, "channels"),
            commands: words(&fields, "commands"),
        }
    }

    fn is_mangled(&self) -> bool {
        self.keys.iter().chain(&self.channels).any(|word| word.contains('\u{fffd}'))
    }

    fn same(&self, other: &Self) -> bool {
        self.keys == other.keys
            && self.channels == other.channels
            && same(&self.commands, &other.commands)
    }

    /// As `ACL SETUSER` takes it, without these commands.
    fn text(&self, deny: &[String]) -> String {
        let channels = std::iter::once("resetchannels".to_owned()).chain(self.channels.clone());
        let deny = deny.iter().map(|name| format!("-{name}"));
        let words = self.keys.iter().cloned().chain(channels).chain(self.commands.clone());
        format!("({})", words.chain(deny).collect::<Vec<_>>().join(" "))
    }
}

/// Name and value of a map, which the older protocol tells as a list.
fn fields(value: Value) -> Vec<(String, Value)> {
    let pairs = match value {
        Value::Map(pairs) => pairs,
        Value::Array(items) => {
            let mut items = items.into_iter();
            let mut pairs = Vec::new();
            while let (Some(name), Some(value)) = (items.next(), items.next()) {
                pairs.push((name, value));
            }
            pairs
        }
        _ => Vec::new(),
    };
    pairs.into_iter().filter_map(|(name, value)| Some((text(&name)?, value))).collect()
}

fn words(fields: &[(String, Value)], name: &str) -> Vec<String> {
    match fields.iter().find(|(field, _)| field == name) {
        // Redis 6 lists keys and channels, later ones tell them in one line.
        Some((_, Value::Array(items))) => items.iter().filter_map(text).collect(),
        Some((_, value)) => {
            let line = text(value).unwrap_or_default();
            line.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
        }
        None => Vec::new(),
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    }
}

/// Whether this can stand in a rule: `keys`, `config|get`, `ft.search`, `@dangerous`.
pub fn is_rule_name(name: &str) -> bool {
    let plain = |part: &str| {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
        !part.is_empty() && part.chars().all(fits)
    };
    match (name.strip_prefix('@'), name.split_once('|')) {
        (Some(category), _) => plain(category),
        (None, Some((command, sub))) => plain(command) && plain(sub),
        (None, None) => plain(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(commands: &str) -> Rules {
        let commands = commands.split(' ').map(str::to_owned).collect();
        Rules { commands, selectors: Vec::new() }
    }

    fn deny(names: &str) -> Vec<String> {
        names.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_limit_is_lifted_to_exactly_what_was() {
        let saved = rules("-@all +@read +keys -@admin +config|get");
        let limited = rules("-@all +@read -@admin +config|get -keys -sort");
        let lifted = limited.lifted(&saved, Some(&limited), &deny("keys sort"));
        assert_eq!(lifted, saved);
        // Nobody wrote down what it became: it is what was saved.
        assert_eq!(rules("+@all -keys").lifted(&saved, None, &deny("keys")), saved);
    }

    #[test]
    fn what_somebody_else_changed_meanwhile_stays() {
        for (saved, limited, denied, current, lifted) in [
            ("+@all", "+@all -keys -sort", "keys sort", "+@all -keys -sort -set", "+@all -set"),
            ("+@all", "+@all -keys -sort", "keys sort", "+@all -sort +keys", "+@all +keys"),
            ("+@all", "+@all -keys", "keys", "+@all", "+@all"),
            // A denial of their own stays, ours had changed nothing about it.
            (
                "+@all -keys",
                "+@all -keys -sort",
                "keys sort",
                "+@all -keys -sort -get",
                "+@all -keys -get",
            ),
            // What ours displaced comes back, before what came later.
            (
                "-@all +@string +keys",
                "-@all +@string",
                "keys",
                "-@all +@string +xadd",
                "-@all +@string +keys +xadd",
            ),
        ] {
            let made = rules(current).lifted(&rules(saved), Some(&rules(limited)), &deny(denied));
            assert_eq!(made, rules(lifted), "{current}");
        }
    }

    #[test]
    fn the_order_counts_where_it_means_something() {
        for (one, other, equal) in [
            ("+@all -debug -getset", "+@all -getset -debug", true),
            ("-@all +config|get -keys +config|set", "-@all -keys +config|get +config|set", true),
            ("+@all -config +config|get", "+@all +config|get -config", false),
            ("+@all -keys +@read", "+@all +@read -keys", false),
            ("+@all -keys", "+@all", false),
        ] {
            assert_eq!(rules(one).same(&rules(other)), equal, "{one} / {other}");
        }
    }

    #[test]
    fn a_selector_is_limited_too_and_its_own_change_is_kept() {
        let selector = |commands: &str| Selector {
            keys: vec!["~a".to_owned()],
            channels: Vec::new(),
            commands: commands.split(' ').map(str::to_owned).collect(),
        };
        let saved = Rules { selectors: vec![selector("-@all +@set")], ..rules("-@all") };
        assert_eq!(
            saved.denying(&deny("smembers")),
            ["-smembers", "clearselectors", "(~a resetchannels -@all +@set -smembers)"]
        );
        let limited =
            Rules { selectors: vec![selector("-@all +@set -smembers")], ..rules("-@all") };
        let mut current = limited.clone();
        current.selectors.push(selector("-@all +get"));
        let lifted = current.lifted(&saved, Some(&limited), &deny("smembers"));
        assert_eq!(lifted.selectors, [selector("-@all +@set"), selector("-@all +get")]);
    }

    #[test]
    fn a_name_cannot_smuggle_a_rule() {
        for name in ["keys", "config|get", "@dangerous", "ft.search", "client|no-evict"] {
            assert!(is_rule_name(name), "{name}");
        }
        for name in ["", "@", "keys +@all", "+keys", "~*", ">x", "a|", "|a", "KEYS", "a\n"] {
            assert!(!is_rule_name(name), "{name}");
        }
    }
}
