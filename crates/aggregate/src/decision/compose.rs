//! Models put together to one decision.

use annals_codec::EventCodec;
use annals_core::{Criteria, Error};

use super::DecisionModel;
use super::arriving::Arriving;

/// What a decision is made on: a [`DecisionModel`], a tuple of up to eight decisions, a `Vec` of them, or `()`,
/// with `C` as the codec of all their events.
///
/// All of it is read in one pass: the union of the criteria, each event once. Each model folds exactly the
/// events that its own criteria select, in the order of the log. Tuples nest. `()` and an empty `Vec` read
/// nothing.
pub trait Decision<C>: Members<C> {}

impl<C, D: Members<C>> Decision<C> for D {}

/// The models of a decision. Out of reach from outside, as the order of the two has to agree.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no decision in the codec `{C}`",
    note = "a decision is a `DecisionModel`, a tuple of up to eight decisions, a `Vec` of them, or `()`",
    note = "the codec has to be an `EventCodec` of the event type of every model"
)]
pub trait Members<C>: Send {
    /// Adds the criteria of each model.
    fn add_criteria(&self, all: &mut Vec<Criteria>) -> Result<(), Error>;

    /// Offers the event to each model, in the same order.
    fn offer(&mut self, event: &mut Arriving<'_, C>) -> Result<(), Error>;
}

impl<C, M> Members<C> for M
where
    M: DecisionModel,
    C: EventCodec<M::Event>,
{
    fn add_criteria(&self, all: &mut Vec<Criteria>) -> Result<(), Error> {
        all.push(self.criteria()?);
        Ok(())
    }

    fn offer(&mut self, event: &mut Arriving<'_, C>) -> Result<(), Error> {
        event.offer(self)
    }
}

impl<C, D: Members<C>> Members<C> for Vec<D> {
    fn add_criteria(&self, all: &mut Vec<Criteria>) -> Result<(), Error> {
        self.iter().try_for_each(|member| member.add_criteria(all))
    }

    fn offer(&mut self, event: &mut Arriving<'_, C>) -> Result<(), Error> {
        self.iter_mut().try_for_each(|member| member.offer(event))
    }
}

impl<C> Members<C> for () {
    fn add_criteria(&self, _: &mut Vec<Criteria>) -> Result<(), Error> {
        Ok(())
    }

    fn offer(&mut self, _: &mut Arriving<'_, C>) -> Result<(), Error> {
        Ok(())
    }
}

macro_rules! tuple {
    ($($member:ident $name:ident),+) => {
        impl<C, $($member: Members<C>),+> Members<C> for ($($member,)+) {
            fn add_criteria(&self, all: &mut Vec<Criteria>) -> Result<(), Error> {
                let ($($name,)+) = self;
                $($name.add_criteria(all)?;)+
                Ok(())
            }

            fn offer(&mut self, event: &mut Arriving<'_, C>) -> Result<(), Error> {
                let ($($name,)+) = self;
                $($name.offer(event)?;)+
                Ok(())
            }
        }
    };
}

tuple!(A a);
tuple!(A a, B b);
tuple!(A a, B b, D d);
tuple!(A a, B b, D d, E e);
tuple!(A a, B b, D d, E e, F f);
tuple!(A a, B b, D d, E e, F f, G g);
tuple!(A a, B b, D d, E e, F f, G g, H h);
tuple!(A a, B b, D d, E e, F f, G g, H h, I i);
