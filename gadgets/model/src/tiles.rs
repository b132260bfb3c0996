//! Large images in pieces that overlap.

use inference::manifest::Tiles;

/// Where tiles lie along an axis, and how much of each is believed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cut {
    /// First pixel of each tile.
    pub starts: Vec<usize>,
    /// Length of a tile.
    pub len: usize,
    overlap: usize,
}

impl Cut {
    /// Tiles that cover `n` pixels; one of that length where it is not longer than a tile.
    pub fn plan(n: usize, tiles: Option<Tiles>) -> Self {
        let Some(Tiles { size_px, overlap_px }) = tiles.filter(|tiles| n > tiles.size_px) else {
            return Self { starts: vec![0], len: n, overlap: 0 };
        };
        let step = (size_px - overlap_px).max(1);
        let mut starts: Vec<usize> = (0..n - size_px).step_by(step).collect();
        // The last one ends where the image does.
        starts.push(n - size_px);
        Self { starts, len: size_px, overlap: overlap_px }
    }

    /// Weight of a pixel of a tile: it falls off over the overlap, and is never 0.
    pub fn weight(&self, place: usize) -> f32 {
        if self.overlap == 0 {
            return 1.0;
        }
        let from_edge = place.min(self.len - 1 - place) + 1;
        (from_edge as f32 / (self.overlap + 1) as f32).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_every_pixel() {
        let tiles = Some(Tiles { size_px: 32, overlap_px: 8 });
        assert_eq!(Cut::plan(20, tiles).starts, [0]);
        for n in 33..150 {
            let cut = Cut::plan(n, tiles);
            let mut covered = vec![0.0; n];
            for start in &cut.starts {
                for place in 0..cut.len {
                    covered[start + place] += cut.weight(place);
                }
            }
            assert!(covered.iter().all(|weight| *weight > 0.0), "{n}: {:?}", cut.starts);
        }
    }
}
