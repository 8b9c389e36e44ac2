// A decoder that is only read: tokens of many rows beside a cache of their keys and values, as src/model/decoder.ts computes it.
// The lines of a call are tokens: one a row while rows are written, all tokens of a prompt while it is read.
#pragma once
#include <stdexcept>
#include <string>
#include <vector>
#include "activations.h"
#include "cache.h"
#include "linear.h"
#include "norms.h"
#include "sampling.h"

// The model, as src/model/dimensions.ts has it.
struct DecoderShape {
  int64_t vocab, positions, layers, heads, kvHeads, headDim, dModel, dFf; // positions: rows of their table; 0: rotary ones
  int64_t rotaryWidth;                                                    // values of a head that turn; 0: none
  int64_t activation;                                                     // ReadActivation
  bool layerNorm, gainFromOne, postNorm, headNorm, parallel, tiedHead, qkvBias, outputBias, mlpBias;
  bool narrow;                                                               // matrices are kept in bfloat16
  float normEpsilon, embeddingScale, attentionScale, attentionCap, logitCap; // caps: 0: none
};

enum ReadActivation : int64_t { READ_GELU = 0, READ_SWIGLU = 1, READ_GEGLU = 2, READ_GELU_EXACT = 3, READ_RELU = 4 };

struct Gain {
  Buffer gain, bias; // no bias: root-mean-square form
};

struct Layer {
  Gain attentionNorm, attentionPostNorm, mlpNorm, mlpPostNorm;
  Linear qkv, output, input, result;
  Buffer queryGain, keyGain;
  int64_t window = 0;    // keys that a token looks back to, itself included; 0: all
  bool turnsOwn = false; // reads the angles of layers with a window
  Cache cache;
};

// Tokens to be read. cos and sin [count, rotaryWidth] for layers without and with a window of their own.
struct Lines {
  int64_t count;
  const int32_t *rows, *columns, *ids;
  const float *cos, *sin, *windowCos, *windowSin;
};

class Decoder {
 public:
  Decoder(const DecoderShape& shape, const int64_t* windows, bool windowsTurnOwn) : shape_(shape), layers_(shape.layers) {
    listParameters();
    for (int64_t i = 0; i < shape.layers; i++) {
      layers_[i].window = windows[i];
      layers_[i].turnsOwn = windowsTurnOwn && windows[i] > 0;
    }
  }

  // Makes an empty cache; that of before is gone. No rows: none.
  void makeRoom(int64_t rows, int64_t columns) {
    rows_ = rows;
    columns_ = columns;
    seen_.clear();
    const CacheShape shape{shape_.heads, shape_.kvHeads, shape_.headDim, shape_.attentionScale, shape_.attentionCap};
    for (Layer& layer : layers_) layer.cache.makeRoom(shape, rows, columns);
  }

  int64_t parameterCount() const { return static_cast<int64_t>(parameters_.size()); }
  int64_t parameterSize(int64_t index) const { return parameters_[index].size; }

  // Gives a parameter its values; numbered as `parameterSpecs` of src/model/parameter-table.ts lists them.
  void set(int64_t index, const float* values, int64_t size) {
    if (index < 0 || index >= parameterCount() || parameters_[index].size != size) {
      throw std::invalid_argument("decoder: parameter " + std::to_string(index) + " has another size");
    }
    Parameter& parameter = parameters_[index];
    parameter.isSet = true;
    if (parameter.matrix != nullptr) return setWeight(*parameter.matrix, values, parameter.isTransposed);
    if (*parameter.vector == nullptr) *parameter.vector = makeBuffer(size);
    for (int64_t i = 0; i < size; i++) (*parameter.vector)[i] = values[i] + parameter.offset;
  }

  // Reads tokens into the cache, and draws a token after each of the `count` lines asked for; of none it only reads.
  void read(const Lines& lines, const Sampling& sampling, int64_t count, const int32_t* asked, const double* uniforms, DrawnToken* drawn) {
    check(lines, count, asked);
    if (sampling.repetitionPenalty != 1) note(lines);
    states_.resize(count * shape_.dModel);
    constexpr int64_t MOST = 512; // lines at once: bounds the memory for intermediate values
    for (int64_t from = 0; from < lines.count; from += MOST) {
      const int64_t size = std::min(MOST, lines.count - from);
      pass({size, lines.rows + from, lines.columns + from, lines.ids + from, at(lines.cos, from), at(lines.sin, from),
            at(lines.windowCos, from), at(lines.windowSin, from)});
      for (int64_t i = 0; i < count; i++) {
        if (asked[i] < from || asked[i] >= from + size) continue;
        memcpy(&states_[i * shape_.dModel], &x_[(asked[i] - from) * shape_.dModel], shape_.dModel * sizeof(float));
      }
    }
    if (count > 0) drawAll(lines, sampling, count, asked, uniforms, drawn);
  }

 private:
  struct Parameter {
    int64_t size;
    Linear* matrix;
    bool isTransposed;
    Buffer* vector;
    float offset;
    bool isSet = false;
  };

  void addMatrix(Linear& linear, int64_t k, int64_t columns, bool hasBias, bool isTransposed = false) {
    linear.k = k;
    linear.columns = columns;
    linear.isNarrow = shape_.narrow;
    parameters_.push_back({k * columns, &linear, isTransposed, nullptr, 0, false});
    if (hasBias) addVector(linear.bias, columns);
  }
  void addVector(Buffer& vector, int64_t size, float offset = 0) { parameters_.push_back({size, nullptr, false, &vector, offset, false}); }
  void addGain(Gain& gain) {
    addVector(gain.gain, shape_.dModel, shape_.gainFromOne ? 1 : 0);
    if (shape_.layerNorm) addVector(gain.bias, shape_.dModel);
  }

  void listParameters() {
    const DecoderShape& s = shape_;
    // Where the head reads the embedding, one copy serves both: panels of its transpose.
    if (s.tiedHead)
      addMatrix(head_, s.dModel, s.vocab, false, true);
    else
      addVector(embedding_, s.vocab * s.dModel);
    if (s.positions > 0) addVector(positions_, s.positions * s.dModel);
    const bool isWide = s.activation == READ_SWIGLU || s.activation == READ_GEGLU;
    for (Layer& layer : layers_) {
      addGain(layer.attentionNorm);
      addMatrix(layer.qkv, s.dModel, (s.heads + 2 * s.kvHeads) * s.headDim, s.qkvBias);
      if (s.headNorm) {
        addVector(layer.queryGain, s.headDim, s.gainFromOne ? 1 : 0);
        addVector(layer.keyGain, s.headDim, s.gainFromOne ? 1 : 0);
      }
      addMatrix(layer.output, s.heads * s.headDim, s.dModel, s.outputBias);
      if (s.postNorm) addGain(layer.attentionPostNorm);
      addGain(layer.mlpNorm);
      addMatrix(layer.input, s.dModel, isWide ? 2 * s.dFf : s.dFf, s.mlpBias);
      addMatrix(layer.result, s.dFf, s.dModel, s.mlpBias);
      if (s.postNorm) addGain(layer.mlpPostNorm);
    }
    addGain(finalNorm_);
    if (!s.tiedHead) addMatrix(head_, s.dModel, s.vocab, false);
  }

  const float* at(const float* angles, int64_t line) const { return angles == nullptr ? nullptr : angles + line * shape_.rotaryWidth; }

  void check(const Lines& lines, int64_t count, const int32_t* asked) const {
    bool fits = true;
    for (int64_t i = 0; i < lines.count; i++) {
      fits = fits && lines.rows[i] >= 0 && lines.rows[i] < rows_ && lines.columns[i] >= 0 && lines.columns[i] < columns_;
      fits = fits && lines.ids[i] >= 0 && lines.ids[i] < shape_.vocab && (shape_.positions == 0 || lines.columns[i] < shape_.positions);
    }
    for (int64_t i = 0; i < count; i++) fits = fits && asked[i] >= 0 && asked[i] < lines.count;
    if (!fits) throw std::invalid_argument("decoder: a row, column, id or line beyond what there is");
    for (const Parameter& parameter : parameters_)
      if (!parameter.isSet) throw std::invalid_argument("decoder: a parameter has no values yet");
  }

  // For the repetition penalty: which tokens a row has read since its first.
  void note(const Lines& lines) {
    seen_.resize(rows_);
    for (int64_t i = 0; i < lines.count; i++) {
      std::vector<uint8_t>& seen = seen_[lines.rows[i]];
      if (lines.columns[i] == 0 || seen.empty()) seen.assign(shape_.vocab, 0);
      seen[lines.ids[i]] = 1;
    }
  }

  // Residual stream of these lines after the last layer, in x_.
  void pass(const Lines& lines) {
    const DecoderShape& s = shape_;
    const int64_t size = lines.count * s.dModel, heads = s.heads + 2 * s.kvHeads;
    x_.resize(size), y_.resize(size), z_.resize(size), stats_.resize(2 * lines.count);
    qkv_.resize(lines.count * heads * s.headDim), mixed_.resize(lines.count * s.heads * s.headDim);
    wide_.resize(lines.count * layers_[0].input.columns), active_.resize(lines.count * s.dFf);
    embed(lines);
    for (Layer& layer : layers_) {
      normalizeTo(layer.attentionNorm, lines.count, x_.data(), y_.data());
      apply(layer.qkv, lines.count, y_.data(), qkv_.data());
      place(layer, lines);
      attendLines(layer, lines);
      // Side by side, both halves read what came in (GPT-NeoX).
      if (s.parallel) normalizeTo(layer.mlpNorm, lines.count, x_.data(), y_.data());
      addTo(layer.output, layer.attentionPostNorm, lines.count, mixed_.data());
      if (!s.parallel) normalizeTo(layer.mlpNorm, lines.count, x_.data(), y_.data());
      apply(layer.input, lines.count, y_.data(), wide_.data());
      activateLines(lines.count);
      addTo(layer.result, layer.mlpPostNorm, lines.count, active_.data());
    }
  }

  void embed(const Lines& lines) {
    const int64_t width = shape_.dModel;
    overRows(lines.count, width, [&](int64_t from, int64_t to) {
      for (int64_t line = from; line < to; line++) {
        float* x = &x_[line * width];
        if (shape_.tiedHead)
          rowOfTransposed(head_, lines.ids[line], x);
        else
          memcpy(x, &embedding_[lines.ids[line] * width], width * sizeof(float));
        for (int64_t i = 0; i < width; i++) x[i] *= shape_.embeddingScale;
        if (shape_.positions > 0)
          for (int64_t i = 0; i < width; i++) x[i] += positions_[lines.columns[line] * width + i];
      }
    });
  }

  void normalizeTo(const Gain& gain, int64_t rows, const float* x, float* y) {
    normalize({rows, shape_.dModel, shape_.normEpsilon, x, gain.gain.get(), gain.bias.get(), y, stats_.data()});
  }

  // x_ += linear(from), normalised before where the model does that.
  void addTo(const Linear& linear, const Gain& postNorm, int64_t rows, const float* from) {
    if (!shape_.postNorm) return apply(linear, rows, from, x_.data(), true);
    apply(linear, rows, from, z_.data());
    normalizeTo(postNorm, rows, z_.data(), z_.data());
    const int64_t width = shape_.dModel;
    overRows(rows, width, [&](int64_t first, int64_t last) {
      for (int64_t i = first * width; i < last * width; i++) x_[i] += z_[i];
    });
  }

  void activateLines(int64_t rows) {
    const int64_t width = shape_.dFf;
    if (shape_.activation <= READ_GEGLU)
      return activate(static_cast<Activation>(shape_.activation), rows, width, wide_.data(), active_.data());
    const bool isRelu = shape_.activation == READ_RELU;
    overRows(rows, width, [&](int64_t from, int64_t to) {
      for (int64_t i = from * width; i < to * width; i++) {
        const float x = wide_[i];
        active_[i] = isRelu ? (x > 0 ? x : 0) : 0.5f * x * (1 + erff(x * 0.70710678f)); // arXiv:1606.08415, exact form
      }
    });
  }

  // Queries and keys normalised and turned; keys and values into the cache.
  void place(Layer& layer, const Lines& lines) {
    const int64_t width = shape_.headDim, heads = shape_.heads, kvHeads = shape_.kvHeads;
    overRows(lines.count, (heads + 2 * kvHeads) * width, [&](int64_t from, int64_t to) {
      for (int64_t line = from; line < to; line++) {
        float* head = &qkv_[line * (heads + 2 * kvHeads) * width];
        const float* cos = at(layer.turnsOwn ? lines.windowCos : lines.cos, line);
        const float* sin = at(layer.turnsOwn ? lines.windowSin : lines.sin, line);
        for (int64_t i = 0; i < heads + kvHeads; i++) {
          const Buffer& gain = i < heads ? layer.queryGain : layer.keyGain;
          float stats[2];
          if (gain != nullptr)
            normalizeRow({1, width, shape_.normEpsilon, head + i * width, gain.get(), nullptr, head + i * width, stats}, 0);
          if (shape_.rotaryWidth > 0) turn(head + i * width, cos, sin);
        }
        const float* key = head + heads * width;
        layer.cache.put(lines.rows[line], lines.columns[line], key, key + kvHeads * width);
      }
    });
  }

  // Pairs (a, b) of a value and the one half a width on → (a cos - b sin, b cos + a sin); arXiv:2104.09864, eq. 34.
  void turn(float* head, const float* cos, const float* sin) const {
    const int64_t half = shape_.rotaryWidth / 2;
    for (int64_t i = 0; i < half; i++) {
      const float a = head[i], b = head[i + half];
      head[i] = a * cos[i] - b * sin[i];
      head[i + half] = b * cos[i + half] + a * sin[i + half];
    }
  }

  void attendLines(const Layer& layer, const Lines& lines) {
    const int64_t kvHeads = shape_.kvHeads, groups = lines.count * kvHeads, parts = std::min<int64_t>(groups, 8 * pool().size());
    pool().run(static_cast<int>(parts), [&](int part) {
      for (int64_t group = groups * part / parts; group < groups * (part + 1) / parts; group++) {
        const int64_t line = group / kvHeads, last = lines.columns[line];
        const int64_t first = layer.window > 0 ? std::max<int64_t>(0, last - layer.window + 1) : 0;
        const float* query = &qkv_[line * (shape_.heads + 2 * kvHeads) * shape_.headDim];
        layer.cache.attend(lines.rows[line], group % kvHeads, first, last, query, &mixed_[line * shape_.heads * shape_.headDim]);
      }
    });
  }

  void drawAll(const Lines& lines, const Sampling& sampling, int64_t count, const int32_t* asked, const double* uniforms,
               DrawnToken* drawn) {
    const int64_t vocab = shape_.vocab;
    stats_.resize(std::max<size_t>(stats_.size(), 2 * count));
    logits_.resize(count * vocab);
    normalizeTo(finalNorm_, count, states_.data(), states_.data());
    apply(head_, count, states_.data(), logits_.data());
    pool().run(static_cast<int>(count), [&](int i) {
      float* logits = &logits_[i * vocab];
      const float cap = shape_.logitCap;
      if (cap > 0)
        overRow(vocab,
                [&](int64_t at, int lanes) { storeUpTo(logits + at, cap * hyperbolicTangent(loadUpTo(logits + at, lanes) / cap), lanes); });
      const uint8_t* seen = sampling.repetitionPenalty != 1 ? seen_[lines.rows[asked[i]]].data() : nullptr;
      drawn[i] = drawToken(logits, vocab, sampling, uniforms[i], seen);
    });
  }

  const DecoderShape shape_;
  int64_t rows_ = 0, columns_ = 0;
  std::vector<Layer> layers_;
  Gain finalNorm_;
  Linear head_;
  Buffer embedding_, positions_;
  std::vector<Parameter> parameters_;
  std::vector<float> x_, y_, z_, qkv_, mixed_, wide_, active_, stats_, states_, logits_;
  std::vector<std::vector<uint8_t>> seen_;
};
