//! Where an input is to be cut: its first byte says how many sizes of pieces follow.

/// The sizes, and what is to be cut.
pub(crate) fn read(input: &[u8]) -> (Vec<usize>, &[u8]) {
    let Some((&number, input)) = input.split_first() else {
        return (Vec::new(), input);
    };
    let number = usize::from(number % 16).min(input.len());
    let (sizes, rest) = input.split_at(number);
    (sizes.iter().map(|&size| size.into()).collect(), rest)
}
