//! A rule in a line.

/// Goes on where a rule holds, and otherwise gives the reason why not: the `if` of a command, as a sentence.
///
/// ```
/// use annals_aggregate::require;
///
/// #[derive(Debug, PartialEq)]
/// struct Overdraft;
///
/// fn withdraw(balance: u64, cents: u64) -> Result<u64, Overdraft> {
///     require(cents <= balance, Overdraft)?;
///     Ok(balance - cents)
/// }
///
/// assert_eq!(withdraw(5, 3), Ok(2));
/// assert_eq!(withdraw(5, 7), Err(Overdraft));
/// ```
///
/// # Errors
/// The reason, where the rule does not hold.
pub fn require<E>(holds: bool, otherwise: E) -> Result<(), E> {
    if holds { Ok(()) } else { Err(otherwise) }
}
