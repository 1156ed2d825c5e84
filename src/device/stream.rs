//! What does not fit a device, piece by piece.

use std::future::Future;

use futures::future::BoxFuture;

use crate::Result;

/// Begins `count` pieces of work one after the other, each with what `load` puts on the device for it, and gives what they
/// come to. While the device is at work on a piece, the next one is loaded: two of them are there at a time.
pub(crate) async fn double_buffered<P, L: Future<Output = Result<P>>, F>(
    count: usize,
    mut load: impl FnMut(usize) -> L,
    mut begin: impl for<'p> FnMut(usize, &'p P) -> Result<BoxFuture<'p, Result<F>>>,
    mut finish: impl FnMut(F),
) -> Result<()> {
    let mut next = if count > 0 { Some(load(0).await?) } else { None };
    let mut number = 0;
    while let Some(piece) = next.take() {
        let begun = begin(number, &piece)?;
        number += 1;
        if number < count {
            next = Some(load(number).await?);
        }
        finish(begun.await?);
    }
    Ok(())
}
