//! Dates as ISO 8601 text in UTC, proleptic Gregorian.

const DAY: i64 = 86_400_000;

/// `2024-02-29T23:59:58.123Z`; years beyond 9999 get a sign and six digits.
pub(super) fn to_iso(millis: i64) -> String {
    let (days, time) = (millis.div_euclid(DAY), millis.rem_euclid(DAY));
    let (year, month, day) = civil(days);
    let (hour, minute) = (time / 3_600_000, time / 60_000 % 60);
    let (second, milli) = (time / 1000 % 60, time % 1000);
    let year = match year {
        0..=9999 => format!("{year:04}"),
        _ => format!("{year:+07}"),
    };
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// The inverse of [`to_iso`]; the time, its seconds and milliseconds may be
/// absent.
pub(super) fn from_iso(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = text.split_once('T').unwrap_or((text, "00:00"));
    let (negative, digits) = match date.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, date.strip_prefix('+').unwrap_or(date)),
    };
    let mut parts = digits.split('-').map(number);
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let year = if negative { -year } else { year };
    if parts.next().is_some() || year.abs() > 999_999 {
        return None;
    }
    let (clock, milli) = match time.split_once('.') {
        Some((clock, milli)) if milli.len() == 3 => (clock, number(milli)?),
        Some(_) => return None,
        None => (time, 0),
    };
    let mut parts = clock.split(':').map(number);
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().unwrap_or(Some(0))?;
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days_of(year, month, day);
    if civil(days) != (year, month, day) {
        return None;
    }
    Some(days * DAY + ((hour * 60 + minute) * 60 + second) * 1000 + milli)
}

fn number(digits: &str) -> Option<i64> {
    let plain =
        !digits.is_empty() && digits.len() <= 6 && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// Days of an era: the 400 years after which the calendar repeats.
const ERA: i64 = 146_097;

/// Year, month and day of a number of days since 1970. Counts years from
/// March, so that a leap day is a year's last.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(ERA);
    let of_era = days.rem_euclid(ERA);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    year.div_euclid(400) * ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_go_there_and_back() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_700_000_000_999, "2023-11-14T22:13:20.999Z"),
            (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
            (253_402_300_800_000, "+010000-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(to_iso(millis), text);
            assert_eq!(from_iso(text), Some(millis), "{text}");
        }
        for day in (-800_000..800_000).step_by(97) {
            assert_eq!(from_iso(&to_iso(day * DAY)), Some(day * DAY));
        }
        assert_eq!(from_iso("2024-02-29"), Some(1_709_164_800_000));
        for bad in ["2023-02-29", "2024-13-01", "2024-01-01T24:00", "x", "2024-01-01T00:00:00.1Z"] {
            assert_eq!(from_iso(bad), None, "{bad}");
        }
        // The ends of the range only have to be printable.
        assert!(to_iso(i64::MIN).starts_with('-'));
        assert!(to_iso(i64::MAX).starts_with('+'));
    }
}
