//! `boreside palette`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use pipeline::palette::{Colors, byte, palette};

#[derive(Args)]
pub struct PaletteOptions {
    /// The colours: lipari for T1, navia for T2 and T2*, batlow for MD and FA, vik around 0, vikO for
    /// angles of lines
    #[arg(value_parser = colors, value_name = "lipari|navia|batlow|vik|vikO")]
    colors: Colors,
    /// Value of the darkest colour, in the map's unit
    #[arg(long, default_value_t = 0.0, value_name = "VALUE", allow_negative_numbers = true)]
    from: f64,
    /// Value of the brightest colour
    #[arg(long, default_value_t = 2000.0, value_name = "VALUE", allow_negative_numbers = true)]
    to: f64,
    /// Turned round, for maps of rates
    #[arg(long)]
    reversed: bool,
    /// The table as it is, without the curve of lipari and navia that is logarithmic above `to` / e
    #[arg(long)]
    linear: bool,
    /// Form of the file
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// The file [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Format {
    /// JASC-PAL: 256 lines of red, green and blue from 0 to 255
    #[default]
    Pal,
    /// Lines of red, green and blue from 0 to 1
    Csv,
}

pub fn run(options: &PaletteOptions) -> Result<()> {
    let is_range = options.from < options.to;
    if !(is_range && options.from.is_finite() && options.to.is_finite()) {
        bail!("--from {} is not below --to {}", options.from, options.to);
    }
    let range = (!options.linear).then_some([options.from, options.to]);
    let table = palette(options.colors, options.reversed, range);
    let text = match options.format {
        Format::Pal => {
            let lines = table.iter().map(|color| {
                let [red, green, blue] = color.map(byte);
                format!("{red} {green} {blue}\r\n")
            });
            format!("JASC-PAL\r\n0100\r\n{}\r\n{}", table.len(), lines.collect::<String>())
        }
        Format::Csv => {
            let line = |[red, green, blue]: &[f32; 3]| format!("{red:.6},{green:.6},{blue:.6}\n");
            table.iter().map(line).collect()
        }
    };
    match &options.output {
        Some(path) => {
            std::fs::write(path, text).with_context(|| format!("palette {}", path.display()))?;
        }
        None => out!("{text}"),
    }
    Ok(())
}

fn colors(name: &str) -> Result<Colors, String> {
    let known = || Colors::ALL.map(Colors::name).join(", ");
    Colors::from_name(name).ok_or_else(|| format!("{} are known", known()))
}
