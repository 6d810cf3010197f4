//! The registers of one unit as a client sees them: the `SunSpec` marker, models and the end.

use std::marker::PhantomData;

use sunspec::{FixedSize, Model, Point, SUNS_IDENTIFIER, Value};

/// Address of the first register.
const BASE: u16 = 40_000;
/// What a register holds that nothing has been put into: not implemented, for most types.
const EMPTY: u16 = 0x8000;
/// The header of a model that is none: the end of the list.
const END: [u16; 2] = [0xffff, 0];

/// A register image. Invariant: begins with the marker and ends with the end model.
#[derive(Debug)]
pub(super) struct Image {
    words: Vec<u16>,
    /// Number and index of the first register of every model.
    models: Vec<(u16, usize)>,
}

impl Image {
    /// An image without models.
    pub(super) fn new() -> Self {
        Self { words: [SUNS_IDENTIFIER, END].concat(), models: Vec::new() }
    }

    /// The image with one more model at its end.
    pub(super) fn with<M: Model>(mut self, fill: impl FnOnce(&mut Registers<'_, M>)) -> Self {
        self.words.truncate(self.words.len() - END.len());
        self.words.extend([M::ID, M::LEN]);
        let first = self.words.len();
        self.models.push((M::ID, first));
        self.words.resize(first + usize::from(M::LEN), EMPTY);
        fill(&mut Registers { words: &mut self.words[first..], model: PhantomData });
        self.words.extend(END);
        self
    }

    /// `count` registers from `address` on, or `None` if there are not as many.
    pub(super) fn read(&self, address: u16, count: u16) -> Option<&[u16]> {
        let first = usize::from(address.checked_sub(BASE)?);
        self.words.get(first..first + usize::from(count))
    }

    /// Where `address` lies in the model `M`, or `None` if outside.
    pub(super) fn offset_in<M: Model>(&self, address: u16) -> Option<u16> {
        let (_, first) = self.models.iter().find(|(id, _)| *id == M::ID)?;
        let offset = usize::from(address.checked_sub(BASE)?).checked_sub(*first)?;
        u16::try_from(offset).ok().filter(|offset| *offset < M::LEN)
    }
}

/// The registers of one model while they are filled.
#[derive(Debug)]
pub(super) struct Registers<'a, M> {
    words: &'a mut [u16],
    model: PhantomData<M>,
}

impl<M: Model> Registers<'_, M> {
    /// Puts a value; what a text leaves over is zero.
    pub(super) fn put<T: Value>(&mut self, point: Point<M, T>, value: T) {
        let first = usize::from(point.offset);
        let words = &mut self.words[first..first + usize::from(point.length)];
        words.fill(0);
        for (word, encoded) in words.iter_mut().zip(value.encode()) {
            *word = encoded;
        }
    }

    /// Marks the points from `first` to `last`, which must be of one type, as not implemented.
    pub(super) fn absent<T: FixedSize>(
        &mut self,
        first: Point<M, Option<T>>,
        last: Point<M, Option<T>>,
    ) {
        let sentinel = T::INVALID.encode();
        let end = usize::from(last.offset + last.length);
        let words = &mut self.words[usize::from(first.offset)..end];
        for (word, encoded) in words.iter_mut().zip(sentinel.iter().cycle()) {
            *word = *encoded;
        }
    }
}

#[cfg(test)]
mod tests {
    use sunspec::models::{model1::Model1, model124::Model124};

    use super::*;

    #[test]
    fn models_follow_the_marker_and_the_end_follows_them() {
        let image = Image::new().with::<Model1>(|m| m.put(Model1::MN, "Bolt".to_owned()));
        assert_eq!(image.read(40_000, 6).unwrap(), [0x5375, 0x6e53, 1, 66, 0x426f, 0x6c74]);
        assert_eq!(image.read(40_006, 1).unwrap(), [0]);
        assert_eq!(image.read(40_070, 2).unwrap(), END);
        assert_eq!(image.read(40_071, 2), None);
        assert_eq!(image.read(39_999, 1), None);
    }

    #[test]
    fn an_address_is_found_in_its_model_only() {
        let image = Image::new().with::<Model1>(|_| {}).with::<Model124>(|_| {});
        assert_eq!(image.offset_in::<Model1>(40_004), Some(0));
        assert_eq!(image.offset_in::<Model124>(40_072), Some(0));
        assert_eq!(image.offset_in::<Model124>(40_071), None);
        assert_eq!(image.offset_in::<Model124>(40_072 + 24), None);
    }
}
