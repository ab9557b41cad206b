//! The examples below each command's help: what one would type, and what it is for.

pub(crate) const STATUS: &str = "\
Examples:
  larder
  larder status --json | jq '.total.reclaimable_bytes'";

pub(crate) const DU: &str = "\
Keys:
  kind, age        every cache
  package          build, fuzz
  project          build
  go               build, toolchain
  module           build, mod
  version          build, mod, toolchain
  repository       vcs
  prefix           a Redis, its default: what the names of keys have in common
  type, ttl        a Redis
  slot, encoding   a Redis

Of a Redis with many keys a sample is asked for its memory, which counts as no use and as no hit;
type, ttl and encoding are asked of fewer, since that counts as a hit. What did is told.

Examples:
  larder du
  larder du build --by package --top 10
  larder du mod --by module
  larder du redis:sessions --by prefix";

pub(crate) const AUDIT: &str = "\
Every key's memory is asked for, which counts as no use of it; some are looked at closely. Ends in
1 where something should be done.

Examples:
  larder audit redis:sessions
  larder audit redis://127.0.0.1:6379/0 --json | jq '.findings[].remedy'";

pub(crate) const SLOWLOG: &str = "\
Of a command only its name and the shape of its key are shown, never a value or a password. Entries
are kept in larder's state folder, past the server's own ring.

Examples:
  larder slowlog redis:sessions
  larder slowlog redis:sessions --follow";

pub(crate) const THROTTLE: &str = "\
A user keeps all that is not taken away, and its open connections; its passwords, keys and channels
are not touched. Without --deny it may not run what looks at everything or stops everybody (KEYS,
SORT, SUNION, FLUSHALL, MONITOR, ...), and what the slow log names it for. Every master and replica
is told. The rules from before are written down first and given back exactly, when the time is over
or by Ctrl-C; after a crash the next larder that talks to this Redis does it. Where larder watch
runs, it gives them back, and this command returns. While it lasts, ACL SAVE would make it last.

A client is disconnected, and again when one comes from the same host with the same name and user;
without a name only once. Scripts end only if they have written nothing, which Redis decides.

Examples:
  larder throttle redis:sessions --user batch --for 10m
  larder throttle redis:sessions --user batch --deny keys,@dangerous --for 1h
  larder throttle redis:sessions --client 17 --for 5m
  larder throttle redis:sessions --scripts --longer-than 10s --for 1h";

pub(crate) const UNTHROTTLE: &str = "\
Examples:
  larder unthrottle redis:sessions --user batch
  larder unthrottle redis:sessions --all";

pub(crate) const CLEAN: &str = "\
In the production profile nothing is removed but by an approved plan.

Examples:
  larder clean build          as go clean -cache
  larder clean test           as go clean -testcache
  larder clean fuzz           as go clean -fuzzcache
  larder clean mod            as go clean -modcache: toolchain, vcs and sumdb go with it
  larder clean vcs toolchain  only these
  larder clean go -n          what would go
  larder clean mod --rewarm ~/src  and fetch again what these projects need
  larder clean redis:sessions --match 'temp:*' -n        how many keys, which, how large
  larder clean redis:sessions --match 'temp:*' --idle 1h  gently, as others feel it";

pub(crate) const EXPIRE: &str = "\
Asks first; in production only an approved plan changes keys. With --backup, the default there,
larder trash restore gives the keys their earlier time to live back: those that still have the one
that was set. A key that is given one counts as used, unless the server knows NO-TOUCH.

Examples:
  larder expire redis:sessions --match 'temp:*' --ttl 24h --jitter 10% --only-persistent
  larder expire redis:sessions --match 'temp:*' --ttl 1h --lt -n    how many, which, how large
  larder expire redis:sessions --resume                             after an interruption";

pub(crate) const PRUNE: &str = "\
Without a flag of the policy the settings say what goes (larder config show). With one, only the
flags do; what the settings protect (protect, the needs of the roots) stays protected. From a Redis
goes what its [[redis.NAME.clean]] rules say, once that was answered.

Examples:
  larder prune                              every Go cache, by the settings
  larder prune build --max-size 10GB
  larder prune build --orphans
  larder prune mod --keep-used ~/src ~/work
  larder prune mod --keep-versions 2 --max-age 90d -n
  larder prune redis:sessions -n            what its rules would remove";

pub(crate) const PLAN: &str = "\
Examples:
  larder plan -o plan.json prune mod --keep-used ~/src
  larder plan -o plan.json expire redis:sessions --match 'temp:*' --ttl 24h --jitter 10%
  larder approve plan.json
  larder apply plan.json";

pub(crate) const APPROVE: &str = "\
A plan that is changed afterwards is no longer approved.

Examples:
  larder approve plan.json
  larder approve 7f3a         one that waits, as larder plans shows it";

pub(crate) const APPLY: &str = "\
A plan that is stale, of another machine or cache, or changed after its approval is refused. What
was used since, or is no longer what it was, is skipped with its reason.

Examples:
  larder apply plan.json
  larder apply plan.json -n    check it and show what would go";

pub(crate) const WATCH: &str = "\
Measures sizes and each Redis every 15 seconds, judges, and prunes when a schedule, a budget or a
full disk says so; nothing runs beside a build without waiting for it. In the production profile it
makes plans that wait for larder approve. SIGHUP, or a change of the file, reads the settings again.

Examples:
  larder watch
  larder watch --once                     for cron: through the cycle a single time
  larder watch --once --trigger deploy    asked for by another program, under this name";

pub(crate) const SERVE: &str = "\
Metrics are at /metrics, for each Redis at /probe?target=redis:NAME, the API at /api/v1 with its
description at /api/v1/openapi.json, a page at /, and /healthz and /readyz for who starts it.
Requests that change something need a token ([serve] token-file) but on a loopback address.

Examples:
  larder serve
  larder serve --listen 127.0.0.1:9000";

pub(crate) const ALERTS: &str = "\
All that is wrong with one cache is one alert with its reasons. Receivers are [notify.NAME] of the
settings.

Examples:
  larder alerts --check
  larder alerts test team                         does it arrive?
  larder alerts silence redis:sessions --for 2h   while it is being moved";

pub(crate) const PLANS: &str = "\
In the production profile larder watch writes plans and waits for somebody to approve them.

Examples:
  larder plans
  larder approve 7f3a     read one, and let it go ahead";

pub(crate) const HEALTH: &str = "\
A Redis: 50 points for hits, 20 for memory, 30 for latency. A cache of Go's: 30 for its budget, 20
each for growth, integrity and waste, 10 for hits. What is not known is left out and said.
90 and above is healthy, below 70 critical.

Examples:
  larder health
  larder health redis:sessions --fail-below 80    for scripts: exit status 1 below";

pub(crate) const TREND: &str = "\
Each larder leaves a sample in the state folder, at most two a minute, so that a line in cron is
enough. What cleanups and sudden drops took is added back: the rate is that of growth between them.
BETWEEN holds the true rate in 95 of 100 cases; without enough history nothing is said of growth.
With --check it ends in 1 where a cache grows faster than trend.threshold, is over its budget, or
is full within a day.

Examples:
  larder trend
  larder trend build redis:sessions --since 30d
  larder trend --sample 300s        without any history: two samples, so far apart
  larder trend --check --json | jq '.rows[].per_second'";

pub(crate) const EVENTS: &str = "\
Without --since the last hundred are shown. With --follow they are shown as they come, with --json
one object a line, until Ctrl-C.

Examples:
  larder events --since 7d --kind cleaned
  larder events --follow --json | jq .message";

pub(crate) const VERIFY: &str = "\
Exit status: 0 all good or all mended, 1 something bad is left, 4 something could not be read or
removed. What go takes for normal (an action whose output was trimmed) is not bad.

Examples:
  larder verify
  larder verify build --fix
  larder verify mod --roots ~/src --sumdb";

pub(crate) const HEAL: &str = "\
The command's output is passed through, and stdout is its own: the report goes to stderr, with
--json as one document, and with --report FILE to a file. What the output says decides where to
look first; whether a cache is to blame is decided by its bytes. Only what is bad is removed, into
the trash, and it is put back unless the command then passes. A command that passes at once is
left alone.

Exit status: the command's own, of its last run; 128 and the number of a signal that ended it;
127 or 126 where it could not be run.

Examples:
  larder heal -- go build ./...
  larder heal --report heal.json -- make test";

pub(crate) const DOWNLOAD: &str = "\
GOPROXY, GOSUMDB, GOPRIVATE and the other settings of the go command hold. go.sum is never changed
to fit what was found; lines that are missing in it are added where `go mod download` adds them, in
a workspace to go.work.sum. What comes from version control (direct) is handed to the go command.

Exit status: 0 all is there, 1 a checksum is wrong, 4 something was not fetched, 6 nobody answered.

Examples:
  larder download
  larder download ~/src ~/work
  larder download --json | jq '.fetched[].module'";

pub(crate) const TRASH: &str = "\
Examples:
  larder trash
  larder trash restore 7f3a
  larder trash empty --older-than 2d";

pub(crate) const INIT: &str = "\
Examples:
  larder init
  larder init --config ./larder.toml";

pub(crate) const CONFIG: &str = "\
Settings are read from, the first one counting most: flags, LARDER_… variables, --config,
$LARDER_CONFIG, your settings file, the system's.

Examples:
  larder config show
  larder config show build
  larder config set build.max-size 20GB
  larder config set roots ~/src ~/work";

pub(crate) const EXPORT: &str = "\
A file that is there and reads otherwise is left, and nothing is written, unless --force is given.

Examples:
  larder export rules deploy/prometheus
  larder export dashboards deploy/grafana
  larder export systemd deploy/systemd
  larder export schema docs/schemas";

pub(crate) const COMPLETIONS: &str = "\
Examples:
  larder completions bash > ~/.local/share/bash-completion/completions/larder
  larder completions zsh > ~/.zfunc/_larder
  larder completions fish > ~/.config/fish/completions/larder.fish
  larder completions powershell >> $PROFILE";

pub(crate) const MAN: &str = "\
Examples:
  larder man ~/.local/share/man/man1";
