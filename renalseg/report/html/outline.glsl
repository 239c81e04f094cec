#version 300 es
// A slice of the CT with the outlines of the segments, as wide everywhere as on paper: where the
// colors on both sides of a pixel differ, it gets the stronger one. NiiVue sets the uniforms.
precision highp int;
precision highp float;
uniform highp sampler3D volume, overlay;
uniform float overlayOutlineWidth; // pixels on either side; 0 draws no outlines
uniform float overlayAlphaShader;  // opacity of the inside of a segment
uniform float overlays;
uniform float opacity;
in vec3 texPos;
out vec4 color;

vec4 at(vec2 pixels) {
  return texture(overlay, texPos + pixels.x * dFdx(texPos) + pixels.y * dFdy(texPos));
}

void main() {
  color = vec4(texture(volume, texPos).rgb, opacity);
  if (overlays < 1.0) return;
  vec4 inside = texture(overlay, texPos);
  color.rgb = mix(color.rgb, inside.rgb, inside.a * overlayAlphaShader);
  float away = overlayOutlineWidth;
  if (away <= 0.0) return;
  vec4 left = at(vec2(-away, 0.0)), right = at(vec2(away, 0.0));
  vec4 below = at(vec2(0.0, -away)), above = at(vec2(0.0, away));
  vec2 steps = vec2(distance(left, right), distance(below, above));
  vec4 first = steps.x > steps.y ? left : below, second = steps.x > steps.y ? right : above;
  vec4 edge = first.a > second.a ? first : second;
  if (max(steps.x, steps.y) > 0.25 && edge.a > 0.0) color.rgb = edge.rgb;
}
