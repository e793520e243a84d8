//! A history given back at a chosen speed.

use std::sync::Arc;
use std::time::Duration;

use annals_concurrency::Timer;
use annals_core::{
    Error, ErrorKind, EventStore, EventStoreExt, ReadRequest, RecordedEvent, Timestamp,
};
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};

/// How fast a history is given back.
///
/// ```
/// use std::time::Duration;
/// use annals_replay::{Pace, PacedBy};
///
/// let load_test = Pace::events_per_second(500.0)?;
/// // A day in 24 minutes, and no pause longer than two seconds.
/// let demo = Pace::scaled(PacedBy::Recorded, 60.0)?.with_pause_max(Duration::from_secs(2));
/// # Ok::<(), annals_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    speed: Speed,
    pause_max: Duration,
}

/// Which of an event's times sets the pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PacedBy {
    /// When it happened, by the application's clock.
    Recorded,
    /// When the store had it.
    Appended,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Speed {
    Unlimited,
    EventsPerSecond(f64),
    /// So many times as fast as the times of the events.
    Scaled(PacedBy, f64),
}

impl Pace {
    /// As fast as events are read and taken.
    pub const UNLIMITED: Self = Self {
        speed: Speed::Unlimited,
        pause_max: Duration::MAX,
    };

    /// So many events a second, evenly.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for what is no number above 0.
    pub fn events_per_second(rate: f64) -> Result<Self, Error> {
        let speed = Speed::EventsPerSecond(positive(rate)?);
        Ok(Self {
            speed,
            ..Self::UNLIMITED
        })
    }

    /// So many times as fast as it happened: 1 is as fast, 60 is a minute in a second. An event that happened
    /// before one that came before it comes at once.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for what is no number above 0.
    pub fn scaled(by: PacedBy, factor: f64) -> Result<Self, Error> {
        let speed = Speed::Scaled(by, positive(factor)?);
        Ok(Self {
            speed,
            ..Self::UNLIMITED
        })
    }

    /// The same with no pause longer than this: so that nobody waits for the nights of a history.
    #[must_use]
    pub fn with_pause_max(mut self, pause_max: Duration) -> Self {
        self.pause_max = pause_max;
        self
    }

    /// How long an event comes after the one before it, when the latest event so far happened then.
    fn gap(&self, latest: Timestamp, event: &RecordedEvent) -> Duration {
        let gap = match self.speed {
            Speed::Unlimited => Duration::ZERO,
            Speed::EventsPerSecond(rate) => seconds(1.0 / rate),
            Speed::Scaled(by, factor) => {
                let passed = by.time_of(event).since(latest);
                seconds(passed.as_secs_f64() / factor)
            }
        };
        gap.min(self.pause_max)
    }

    /// The time of an event that sets the pace.
    fn time_of(&self, event: &RecordedEvent) -> Timestamp {
        match self.speed {
            Speed::Scaled(by, _) => by.time_of(event),
            Speed::Unlimited | Speed::EventsPerSecond(_) => event.appended_at(),
        }
    }
}

impl PacedBy {
    fn time_of(self, event: &RecordedEvent) -> Timestamp {
        match self {
            Self::Recorded => event.recorded_at(),
            Self::Appended => event.appended_at(),
        }
    }
}

/// The events that answer the request, each at its time, the first at once: for demos, and to load what takes them.
///
/// Each event has its time by the pace, counted from the first. What takes an event late is not waited for: the
/// following ones come without pauses until the time is reached again.
///
/// # Errors
/// As reading has it; the first ends the stream.
pub fn play(
    store: &dyn EventStore,
    request: ReadRequest,
    pace: Pace,
    timer: Arc<dyn Timer>,
) -> BoxStream<'_, Result<RecordedEvent, Error>> {
    let playing = Playing {
        events: store.events(request),
        pace,
        timer,
        latest: None,
        due: Duration::ZERO,
    };
    stream::try_unfold(playing, Playing::step).boxed()
}

/// A history that is being given back.
struct Playing<'a> {
    events: BoxStream<'a, Result<RecordedEvent, Error>>,
    pace: Pace,
    timer: Arc<dyn Timer>,
    /// The latest time of an event so far.
    latest: Option<Timestamp>,
    /// When the event before was due, by the timer.
    due: Duration,
}

impl Playing<'_> {
    async fn step(mut self) -> Result<Option<(RecordedEvent, Self)>, Error> {
        let Some(event) = self.events.try_next().await? else {
            return Ok(None);
        };
        let time = self.pace.time_of(&event);
        match self.latest {
            None => self.due = self.timer.elapsed(),
            Some(latest) => {
                self.due = self.due.saturating_add(self.pace.gap(latest, &event));
                let pause = self.due.saturating_sub(self.timer.elapsed());
                if pause > Duration::ZERO {
                    self.timer.sleep(pause).await;
                }
            }
        }
        self.latest = self.latest.max(Some(time));
        Ok(Some((event, self)))
    }
}

fn positive(number: f64) -> Result<f64, Error> {
    if number.is_finite() && number > 0.0 {
        return Ok(number);
    }
    let message = "pace is no number above 0; say how fast the history is to go";
    Err(Error::new(ErrorKind::Invalid, message)
        .during("play")
        .with("pace", number))
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}
