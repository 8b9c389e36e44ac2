// The decoder against loops in double precision that read one token after the other, written from src/model/decoder.ts.
#pragma once
#include "checks.h"
#include "decoder.h"

// One row of tokens.
class SlowDecoder {
 public:
  SlowDecoder(const DecoderShape& shape, const std::vector<int64_t>& windows, const std::vector<Floats>& parameters)
      : s(shape), windows_(windows), parameters_(parameters), keys_(shape.layers), values_(shape.layers) {}

  // Reads a token; log-probabilities of the next.
  Doubles read(int32_t id, int64_t position, const float* cos, const float* sin) {
    next_ = 0;
    const Floats& table = take();
    Doubles x(s.dModel);
    for (int64_t i = 0; i < s.dModel; i++) x[i] = table[id * s.dModel + i] * static_cast<double>(s.embeddingScale);
    if (s.positions > 0) add(x, take(), position * s.dModel);
    for (int64_t layer = 0; layer < s.layers; layer++) {
      const Doubles qkv = linear(norm(x), (s.heads + 2 * s.kvHeads) * s.headDim, s.qkvBias);
      const Doubles attended = attend(layer, qkv, cos, sin);
      const Doubles output = after(linear(attended, s.dModel, s.outputBias));
      Doubles middle(x);
      add(middle, output);
      Doubles wide = linear(norm(s.parallel ? x : middle), isWide() ? 2 * s.dFf : s.dFf, s.mlpBias);
      x = middle;
      add(x, after(linear(activate(wide), s.dModel, s.mlpBias)));
    }
    x = norm(x);
    Doubles logits(s.vocab);
    const Floats& head = s.tiedHead ? table : take();
    double sum = 0;
    for (int64_t id_ = 0; id_ < s.vocab; id_++) {
      for (int64_t i = 0; i < s.dModel; i++) logits[id_] += x[i] * head[s.tiedHead ? id_ * s.dModel + i : i * s.vocab + id_];
      logits[id_] = capped(logits[id_], s.logitCap);
      sum += std::exp(logits[id_]);
    }
    for (double& logit : logits) logit -= std::log(sum);
    return logits;
  }

 private:
  const Floats& take() { return parameters_[next_++]; }
  bool isWide() const { return s.activation == READ_SWIGLU || s.activation == READ_GEGLU; }
  static double capped(double value, double cap) { return cap > 0 ? cap * std::tanh(value / cap) : value; }
  template <class Values>
  static void add(Doubles& to, const Values& values, int64_t from = 0) {
    for (size_t i = 0; i < to.size(); i++) to[i] += values[from + i];
  }

  Doubles normWith(const double* x, int64_t width, const Floats& gain, const Floats* bias) const {
    double mean = 0, square = 0;
    for (int64_t i = 0; i < width && bias != nullptr; i++) mean += x[i] / width;
    for (int64_t i = 0; i < width; i++) square += (x[i] - mean) * (x[i] - mean) / width;
    Doubles y(width);
    for (int64_t i = 0; i < width; i++) {
      y[i] = (x[i] - mean) / std::sqrt(square + s.normEpsilon) * (gain[i] + (s.gainFromOne ? 1 : 0)) + (bias != nullptr ? (*bias)[i] : 0);
    }
    return y;
  }
  Doubles norm(const Doubles& x) {
    const Floats& gain = take();
    return normWith(x.data(), s.dModel, gain, s.layerNorm ? &take() : nullptr);
  }
  Doubles after(const Doubles& x) { return s.postNorm ? norm(x) : x; }

  Doubles linear(const Doubles& x, int64_t columns, bool hasBias) {
    const Floats& weight = take();
    Doubles y(columns);
    for (int64_t j = 0; j < columns; j++) {
      for (size_t i = 0; i < x.size(); i++) y[j] += x[i] * weight[i * columns + j];
    }
    if (hasBias) add(y, take());
    return y;
  }

  Doubles activate(const Doubles& wide) const {
    Doubles y(s.dFf);
    for (int64_t i = 0; i < s.dFf; i++) {
      const double x = wide[i], sigmoid = 1 / (1 + std::exp(-x));
      const double gelu = 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
      if (s.activation == READ_RELU)
        y[i] = std::max(0.0, x);
      else if (s.activation == READ_GELU_EXACT)
        y[i] = 0.5 * x * (1 + std::erf(x / std::sqrt(2)));
      else
        y[i] = s.activation == READ_SWIGLU ? x * sigmoid : gelu;
      if (isWide()) y[i] *= wide[s.dFf + i];
    }
    return y;
  }

  Doubles attend(int64_t layer, Doubles qkv, const float* cos, const float* sin) {
    const int64_t width = s.headDim, half = s.rotaryWidth / 2;
    const Floats *queryGain = s.headNorm ? &take() : nullptr, *keyGain = s.headNorm ? &take() : nullptr;
    for (int64_t head = 0; head < s.heads + s.kvHeads; head++) {
      double* at = &qkv[head * width];
      if (s.headNorm) {
        const Doubles normal = normWith(at, width, head < s.heads ? *queryGain : *keyGain, nullptr);
        std::copy(normal.begin(), normal.end(), at);
      }
      for (int64_t i = 0; i < half; i++) {
        const double a = at[i], b = at[i + half];
        at[i] = a * cos[i] - b * sin[i];
        at[i + half] = b * cos[i + half] + a * sin[i + half];
      }
    }
    keys_[layer].emplace_back(qkv.begin() + s.heads * width, qkv.begin() + (s.heads + s.kvHeads) * width);
    values_[layer].emplace_back(qkv.begin() + (s.heads + s.kvHeads) * width, qkv.end());
    const int64_t count = keys_[layer].size(), first = windows_[layer] > 0 ? std::max<int64_t>(0, count - windows_[layer]) : 0;
    Doubles mixed(s.heads * width), shares(count);
    for (int64_t head = 0; head < s.heads; head++) {
      const int64_t from = head / (s.heads / s.kvHeads) * width;
      double sum = 0;
      for (int64_t j = first; j < count; j++) {
        double score = 0;
        for (int64_t i = 0; i < width; i++) score += qkv[head * width + i] * keys_[layer][j][from + i];
        sum += shares[j] = std::exp(capped(score * s.attentionScale, s.attentionCap));
      }
      for (int64_t j = first; j < count; j++) {
        for (int64_t i = 0; i < width; i++) mixed[head * width + i] += shares[j] / sum * values_[layer][j][from + i];
      }
    }
    return mixed;
  }

  const DecoderShape& s;
  const std::vector<int64_t>& windows_;
  const std::vector<Floats>& parameters_;
  std::vector<std::vector<Doubles>> keys_, values_;
  size_t next_ = 0;
};

// Two rows: one reads a long prompt, the other a short one; then both write.
inline void testDecoder(const char* what, const DecoderShape& shape, const std::vector<int64_t>& windows) {
  constexpr int64_t ROWS = 2, COLUMNS = 40;
  Decoder decoder(shape, windows.data(), false);
  decoder.makeRoom(ROWS, COLUMNS);
  std::vector<Floats> parameters;
  for (int64_t i = 0; i < decoder.parameterCount(); i++) {
    parameters.push_back(normal(decoder.parameterSize(i), 0.2f));
    decoder.set(i, parameters.back().data(), static_cast<int64_t>(parameters.back().size()));
  }
  SlowDecoder slow[ROWS] = {{shape, windows, parameters}, {shape, windows, parameters}};
  std::vector<int32_t> rows, columns, ids, asked;
  Floats cos, sin, found;
  Doubles expected;
  int32_t next[ROWS] = {0, 0};
  const auto put = [&](int32_t row, int32_t id) {
    rows.push_back(row), columns.push_back(next[row]++), ids.push_back(id);
    for (int64_t i = 0; i < shape.rotaryWidth; i++) {
      const double angle = columns.back() / (1.0 + i % (shape.rotaryWidth / 2));
      cos.push_back(static_cast<float>(std::cos(angle))), sin.push_back(static_cast<float>(std::sin(angle)));
    }
  };
  for (int32_t i = 0; i < 29; i++) put(0, i * 5 % static_cast<int32_t>(shape.vocab));
  for (int32_t i = 0; i < 3; i++) put(1, i * 7 % static_cast<int32_t>(shape.vocab));
  asked = {28, 31};
  const Sampling sampling{1, 1, 0, 1, 0};
  for (int step = 0; step < 8; step++) {
    const double uniforms[ROWS] = {0.1 * step, 0.9 - 0.1 * step};
    DrawnToken drawn[ROWS];
    const int64_t count = static_cast<int64_t>(ids.size());
    decoder.read({count, rows.data(), columns.data(), ids.data(), cos.data(), sin.data(), nullptr, nullptr}, sampling, ROWS, asked.data(),
                 uniforms, drawn);
    Doubles logProbs[ROWS];
    for (int64_t i = 0; i < count; i++) {
      logProbs[rows[i]] = slow[rows[i]].read(ids[i], columns[i], cos.data() + i * shape.rotaryWidth, sin.data() + i * shape.rotaryWidth);
    }
    rows.clear(), columns.clear(), ids.clear(), cos.clear(), sin.clear();
    for (int32_t row = 0; row < ROWS; row++) {
      found.push_back(drawn[row].logProb);
      expected.push_back(logProbs[row][drawn[row].id]);
      // The token at which the sum of the probabilities passes the uniform number.
      double before = 0;
      for (int32_t id = 0; id < drawn[row].id; id++) before += std::exp(logProbs[row][id]);
      const double until = before + std::exp(logProbs[row][drawn[row].id]);
      checks++;
      if (before > uniforms[row] + 1e-5 || until < uniforms[row] - 1e-5) {
        failures++;
        printf("%s: token %d drawn by %g, expected between %g and %g\n", what, drawn[row].id, uniforms[row], before, until);
      }
      put(row, drawn[row].id);
    }
    asked = {0, 1};
  }
  // Two layers of sums, one on top of the other.
  check(what, found, expected, 4);
}

inline void testDecoders() {
  // vocab, positions, layers, heads, kvHeads, headDim, dModel, dFf, rotaryWidth, activation;
  // layerNorm, gainFromOne, postNorm, headNorm, parallel, tiedHead, qkvBias, outputBias, mlpBias, narrow; numbers
  testDecoder("decoder, GPT-2", {50,    40,    2,    3,    3,    20,   60,    90,    0, READ_GELU, true, false, false,
                                 false, false, true, true, true, true, false, 1e-5f, 1, 0.22f,     0,    0},
              {0, 0});
  testDecoder("decoder, Gemma", {33,   0,     2,    4,     2,     12,    40,    48,    12,   READ_GEGLU, false, true, true,
                                 true, false, true, false, false, false, false, 1e-6f, 6.3f, 0.3f,       5,     4},
              {7, 0});
  testDecoder("decoder, Llama", {70,    0,     2,     6,    2,     16,    64,    100,   16, READ_SWIGLU, false, false, false,
                                 false, false, false, true, false, false, false, 1e-6f, 1,  0.25f,       0,     0},
              {0, 0});
  testDecoder("decoder, GPT-NeoX",
              {40,   0,    2,    2,     2,     24, 48,   64, 6, READ_GELU_EXACT, true, false, false, false, true, false,
               true, true, true, false, 1e-5f, 1,  0.2f, 0,  0},
              {0, 0});
  testDecoder("decoder, OPT", {40,    40,    2,    2,    2,    8,    16,    64,    0, READ_RELU, true, false, false,
                               false, false, true, true, true, true, false, 1e-5f, 1, 0.3f,      0,    0},
              {0, 3});
}
