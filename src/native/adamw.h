// One update of AdamW on all parameters, with clipping by the norm of all gradients together.
#pragma once
#include <cmath>
#include <vector>
#include "threads.h"
#include "vectors.h"

// One parameter: its gradient, and value and moments, which change where they lie.
struct Updated {
  int64_t size;
  const float* gradient;
  float *value, *first, *second;
  float rate, decay; // rate: with the corrections of both moments
};

struct AdamW {
  float fresh1, fresh2; // 1 - β₁ and 1 - β₂, which a float β has lost digits of
  float epsilon;
  float clipNorm; // 0: none
};

// Parts of parameters of about the same size; the parts, not the threads, decide in which order sums are taken.
struct Piece {
  size_t parameter;
  int64_t from, to;
};
inline std::vector<Piece> piecesOf(const std::vector<Updated>& parameters) {
  constexpr int64_t SIZE = 32768;
  std::vector<Piece> pieces;
  for (size_t i = 0; i < parameters.size(); i++) {
    for (int64_t from = 0; from < parameters[i].size; from += SIZE) {
      pieces.push_back({i, from, from + SIZE < parameters[i].size ? from + SIZE : parameters[i].size});
    }
  }
  return pieces;
}

inline double gradientNorm(const std::vector<Updated>& parameters, const std::vector<Piece>& pieces) {
  std::vector<double> sums(pieces.size());
  pool().run(static_cast<int>(pieces.size()), [&](int part) {
    const Piece& piece = pieces[part];
    constexpr int64_t RUN = 1024; // squares are added up in float32 so far, the sums of runs in float64
    double sum = 0;
    for (int64_t from = piece.from; from < piece.to; from += RUN) {
      const int64_t size = piece.to - from < RUN ? piece.to - from : RUN;
      Vector squares{};
      overRow(size, [&](int64_t at, int count) {
        const Vector g = loadUpTo(parameters[piece.parameter].gradient + from + at, count);
        squares += g * g;
      });
      sum += sumOf(squares);
    }
    sums[part] = sum;
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return std::sqrt(total);
}

// m += (g - m)(1 - β₁), v += (g² - v)(1 - β₂), p = p (1 - decay) - rate · m / (√v + ε)  (arXiv:1711.05101, algorithm 2).
// Where the norm or the loss is not finite nothing changes. @returns the norm before clipping
inline float applyAdamW(const AdamW& adam, const std::vector<Updated>& parameters, float loss) {
  const std::vector<Piece> pieces = piecesOf(parameters);
  const float norm = static_cast<float>(gradientNorm(parameters, pieces));
  if (!std::isfinite(norm) || !std::isfinite(loss)) return norm;
  // The 1e-6 is that of torch.nn.utils.clip_grad_norm_.
  const float scale = adam.clipNorm > 0 && norm > adam.clipNorm ? adam.clipNorm / (norm + 1e-6f) : 1;
  pool().run(static_cast<int>(pieces.size()), [&](int part) {
    const Piece& piece = pieces[part];
    const Updated& of = parameters[piece.parameter];
    overRow(piece.to - piece.from, [&](int64_t offset, int count) {
      const int64_t at = piece.from + offset;
      const Vector g = loadUpTo(of.gradient + at, count) * scale;
      const Vector value = loadUpTo(of.value + at, count);
      const Vector first = loadUpTo(of.first + at, count), second = loadUpTo(of.second + at, count);
      const Vector m = first + (g - first) * adam.fresh1, v = second + (g * g - second) * adam.fresh2;
      storeUpTo(of.first + at, m, count);
      storeUpTo(of.second + at, v, count);
      const Vector change = of.rate * m / (squareRoot(v) + adam.epsilon);
      storeUpTo(of.value + at, value - value * of.decay - change, count);
    });
  });
  return norm;
}
