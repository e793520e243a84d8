//! A process of orders: it asks for the payment, reminds once, gives up, or has the goods sent.

use std::sync::Arc;
use std::time::Duration;

use annals_codec::{EventCodec, JsonCodec};
use annals_core::{
    Aggregate, Append, BoxError, Category, EventStore, Expected, Refusal, StreamId, Timestamp,
};
use annals_macros::Event;
use annals_projection::{Delivery, FailurePolicy, ProcessKey, ProcessManager, TimerChange};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "order")]
pub(crate) enum OrderEvent {
    Placed { cents: u64 },
    Noted,
    Cancelled,
}

#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "payment")]
pub(crate) enum PaymentEvent {
    Paid {
        #[event(tag)]
        order: String,
        cents: u64,
    },
}

/// What commands leave behind.
#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "effect")]
pub(crate) enum Effect {
    Asked { cents: u64 },
    Reminded,
    Sent,
    GaveUp,
}

#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(category = "fulfilment")]
pub(crate) enum Step {
    Began { cents: u64 },
    Reminded,
    Completed,
    GaveUp,
}

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Fulfilment {
    cents: u64,
    is_open: bool,
    reminders: u32,
}

impl Aggregate for Fulfilment {
    type Event = Step;

    fn apply(&mut self, step: &Step) -> Result<(), Refusal> {
        match step {
            Step::Began { .. } if self.is_open => return Err(Refusal::new("began twice")),
            Step::Began { cents } => {
                self.cents = *cents;
                self.is_open = true;
            }
            Step::Reminded => self.reminders += 1,
            Step::Completed | Step::GaveUp => self.is_open = false,
        }
        Ok(())
    }
}

pub(crate) const NAME: &str = "fulfilment";
pub(crate) const DAY: Duration = Duration::from_hours(24);

/// How a command of the tests is appended: the derived id, or as a planted bug has it.
pub(crate) type IdOf = fn(&Delivery<Step>, u32) -> annals_core::AppendId;

pub(crate) fn manager(store: Arc<dyn EventStore>, id_of: IdOf) -> ProcessManager<Fulfilment> {
    let commands = Arc::clone(&store);
    ProcessManager::<Fulfilment>::builder(NAME, store, JsonCodec)
        .unwrap()
        .on(JsonCodec, ProcessKey::stream(), on_order)
        .on(
            JsonCodec,
            ProcessKey::tag("order"),
            |state, event: &PaymentEvent, _| Ok(on_payment(state, event)),
        )
        .on_timer(|state, timer, _| {
            Ok(match timer.name.as_str() {
                _ if !state.is_open => vec![],
                "reminder" => vec![Step::Reminded],
                _ => vec![Step::GaveUp],
            })
        })
        .unwrap()
        .setting_timers(|step, input| timers_of(step, input.appended_at()))
        .issuing(move |step| issue(Arc::clone(&commands), step, id_of))
        .on_failure(FailurePolicy::park())
        .build()
        .unwrap()
}

fn on_order(
    state: &Fulfilment,
    event: &OrderEvent,
    _: &annals_core::RecordedEvent,
) -> Result<Vec<Step>, BoxError> {
    match event {
        OrderEvent::Placed { cents: 0 } => Err("an order of nothing".into()),
        OrderEvent::Placed { cents } if !state.is_open => Ok(vec![Step::Began { cents: *cents }]),
        // Decides by the state alone: taken again after other inputs, it would decide otherwise.
        OrderEvent::Noted if state.is_open => Ok(vec![Step::Reminded]),
        OrderEvent::Cancelled if state.is_open => Ok(vec![Step::GaveUp]),
        OrderEvent::Placed { .. } | OrderEvent::Noted | OrderEvent::Cancelled => Ok(vec![]),
    }
}

fn on_payment(state: &Fulfilment, PaymentEvent::Paid { cents, .. }: &PaymentEvent) -> Vec<Step> {
    let is_enough = state.is_open && *cents >= state.cents;
    is_enough.then_some(Step::Completed).into_iter().collect()
}

fn timers_of(step: &Step, at: Timestamp) -> Vec<TimerChange> {
    match step {
        Step::Began { .. } => vec![
            TimerChange::set("reminder", at.after(DAY)),
            TimerChange::set("end", at.after(3 * DAY)),
        ],
        Step::Reminded => vec![],
        Step::Completed | Step::GaveUp => {
            vec![TimerChange::cancel("reminder"), TimerChange::cancel("end")]
        }
    }
}

async fn issue(
    store: Arc<dyn EventStore>,
    step: Delivery<Step>,
    id_of: IdOf,
) -> Result<(), BoxError> {
    let effects = match &*step {
        // Two commands of one own event have two numbers.
        Step::Began { cents } => vec![Effect::Asked { cents: *cents }, Effect::Reminded],
        Step::Reminded => vec![Effect::Reminded],
        Step::Completed => vec![Effect::Sent],
        Step::GaveUp => vec![Effect::GaveUp],
    };
    let stream = StreamId::new(
        &Category::from_static("effect"),
        step.recorded().stream().key(),
    )?;
    for (number, effect) in (0..).zip(effects) {
        let effect = JsonCodec.encode(&effect)?.with_metadata(step.metadata()?);
        let append = Append::builder(id_of(&step, number));
        let append = append.write(stream.clone(), Expected::Any, [effect]);
        store.append(append.build()?).await?;
    }
    Ok(())
}
