//! The sentences inside an alert in Chinese: larder makes them in English, where they are found, and
//! here each has its counterpart. What has none stays as it is, so that nothing is lost.
//!
//! A `{}` stands for a figure or a name; a figure with a unit of time gets the Chinese unit. In the
//! counterpart `{0}` is the first of them.

use crate::receiver::Language;

/// English and Chinese.
const SENTENCES: &[(&str, &str)] = &[
    // Of a Redis.
    ("{} of {} look-ups in {} found their key", "最近 {2}内 {1} 次查询命中 {0} 次"),
    ("{} of {} look-ups since it started found their key", "启动以来 {1} 次查询命中 {0} 次"),
    ("{} look-ups are too few to tell", "仅 {0} 次查询,不足以判断"),
    ("the server does not tell", "服务器未提供"),
    ("it did not answer a PING", "未响应 PING"),
    ("half of {} PINGs took {} ms, the slowest {} ms", "{0} 次 PING 中位数 {1} 毫秒,最慢 {2} 毫秒"),
    ("{} of {} connections are in use", "连接数已用 {0},上限 {1}"),
    ("{} connections were refused in {}", "最近 {1}内拒绝了 {0} 个连接"),
    ("{} keys a second have to go", "每秒淘汰 {0} 个键"),
    (
        "memory is fragmented: the allocator holds {} times what it gave",
        "内存碎片:分配器占用为已分配的 {0} 倍",
    ),
    ("its last snapshot failed", "最近一次快照失败"),
    ("its last append to the file failed", "最近一次写入追加文件失败"),
    ("a replica is not in step", "有副本未同步"),
    (
        "{}, and no limit is set: maxmemory, or budget in the settings",
        "{0},未设上限:maxmemory,或设置中的 budget",
    ),
    // Of a cache of Go's.
    ("it has no budget: max-size in the settings", "未设预算:设置中的 max-size"),
    ("not enough history", "历史数据不足"),
    ("it does not grow", "没有增长"),
    ("full in {}", "{0}后写满"),
    ("it was never verified", "从未校验"),
    ("nothing was bad {} ago", "{0}前校验,未发现损坏"),
    ("nothing was bad", "未发现损坏"),
    ("{} of {} were bad {} ago", "{2}前校验,{1} 项中 {0} 项损坏"),
    ("{} of {} were bad", "{1} 项中 {0} 项损坏"),
    ("{} of it could go", "其中 {0} 可清理"),
    // Of both.
    ("it grows by {} a day, which is more than {}", "每天增长 {0},超过 {1}"),
    ("{} a day, full in {}", "每天 {0},{1}后写满"),
    ("{} a day", "每天 {0}"),
    (
        "{} is far above what is usual at this hour: {} against {}, {} times the usual spread, from {} days",
        "{0} 远高于此时段的常值:{1},常值 {2},偏差为通常的 {3} 倍,依据 {4} 天数据",
    ),
    (
        "{} is far below what is usual at this hour: {} against {}, {} times the usual spread, from {} days",
        "{0} 远低于此时段的常值:{1},常值 {2},偏差为通常的 {3} 倍,依据 {4} 天数据",
    ),
    ("the settings stay as they were: {}", "设置保持不变:{0}"),
    // What was done.
    ("user {} limited until {} (larder {})", "用户 {0} 已限流至 {1}(larder {2})"),
    ("user {} is limited no more", "用户 {0} 的限流已解除"),
    ("undo: {}", "撤销:{0}"),
    ("a plan of {} waits for approval: {}", "一个可释放 {0} 的计划等待批准:{1}"),
    ("freed: {} in {} files", "已释放 {0},共 {1} 个文件"),
    ("moved to the trash: {} in {} files", "已移入回收站 {0},共 {1} 个文件"),
    // What was found out.
    ("{} from {}, user {}, {} times, {} ms each", "{0},来自 {1},用户 {2},{3} 次,每次 {4} 毫秒"),
    ("{} from {}, user {}, once, {} ms each", "{0},来自 {1},用户 {2},1 次,{3} 毫秒"),
    ("{} from {}, {} times, {} ms each", "{0},来自 {1},{2} 次,每次 {3} 毫秒"),
    ("{} from {}, once, {} ms each", "{0},来自 {1},1 次,{2} 毫秒"),
    ("{}: {} keys, {} ({} %)", "{0}:{1} 个键,{2}({3} %)"),
    // The most general comes last.
    ("{} of {}", "{0},上限 {1}"),
];

impl Language {
    /// A sentence of larder's in this language; as it is where there is none for it.
    pub fn sentence(self, text: &str) -> String {
        if self == Self::En {
            return text.to_owned();
        }
        let known = SENTENCES
            .iter()
            .find_map(|(english, chinese)| Some((captured(english, text)?, chinese)));
        known.map_or_else(|| text.to_owned(), |(parts, chinese)| filled(chinese, &parts))
    }
}

/// What stands in a text in the places of a pattern's `{}`.
fn captured<'a>(pattern: &str, text: &'a str) -> Option<Vec<&'a str>> {
    let mut literals = pattern.split("{}");
    let mut rest = text.strip_prefix(literals.next()?)?;
    let mut parts = Vec::new();
    let mut literals = literals.peekable();
    while let Some(literal) = literals.next() {
        let end = match (literals.peek(), literal) {
            (None, "") => rest.len(),
            (None, last) => rest.len().checked_sub(last.len()).filter(|_| rest.ends_with(last))?,
            (Some(_), between) => rest.find(between)?,
        };
        parts.push(&rest[..end]);
        rest = &rest[end + literal.len()..];
    }
    // Nothing is the figure or the name of nothing.
    (rest.is_empty() && parts.iter().all(|part| !part.is_empty())).then_some(parts)
}

fn filled(pattern: &str, parts: &[&str]) -> String {
    let mut text = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('{') {
        text += before;
        let (number, after) = after.split_once('}').unwrap_or(("", after));
        let part = number.parse().ok().and_then(|number: usize| parts.get(number));
        text += &part.map_or_else(String::new, |part| with_unit(part));
        rest = after;
    }
    text + rest
}

/// `2 min` as `2 分钟`; anything else as it is.
fn with_unit(part: &str) -> String {
    let Some((number, unit)) = part.split_once(' ') else { return part.to_owned() };
    match Language::Zh.unit(unit) {
        Some(unit) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{number} {unit}")
        }
        _ => part.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_has_its_counterpart_and_what_has_none_stays() {
        let of = |text| Language::Zh.sentence(text);
        assert_eq!(
            of("3 of 1000 look-ups in 2 min found their key"),
            "最近 2 分钟内 1000 次查询命中 3 次"
        );
        assert_eq!(of("1.6 GB of 2.0 GB"), "1.6 GB,上限 2.0 GB");
        assert_eq!(of("+1.2 GB a day, full in 3 d"), "每天 +1.2 GB,3 天后写满");
        assert_eq!(
            of("user batch limited until 14:32 (larder unthrottle redis:s --user batch)"),
            "用户 batch 已限流至 14:32(larder unthrottle redis:s --user batch)"
        );
        assert_eq!(
            of("KEYS report:1* from 10.0.0.7 (job), user batch, 31 times, 480 ms each"),
            "KEYS report:1*,来自 10.0.0.7 (job),用户 batch,31 次,每次 480 毫秒"
        );
        assert_eq!(of("something that nobody foresaw"), "something that nobody foresaw");
        assert_eq!(of(""), "");
        let english = "3 of 1000 look-ups in 2 min found their key";
        assert_eq!(Language::En.sentence(english), english);
    }

    #[test]
    fn every_counterpart_names_what_its_sentence_holds() {
        for (english, chinese) in SENTENCES {
            let count = english.matches("{}").count();
            for number in 0..count {
                assert!(chinese.contains(&format!("{{{number}}}")), "{english}");
            }
            assert!(!chinese.contains(&format!("{{{count}}}")), "{english}");
            // An earlier one must not take it.
            let example = english.replace("{}", "1.5 GB");
            let first = SENTENCES.iter().find(|(one, _)| captured(one, &example).is_some());
            assert_eq!(first.unwrap().0, *english);
        }
    }
}
