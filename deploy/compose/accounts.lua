-- What each account may ask of Orthanc. All others, and all other requests, are turned away.
local READ = {
  worker = {'^/system$', '^/changes$', '^/patients/', '^/studies/', '^/series/', '^/instances/'},
  viewer = {'^/system$', '^/dicom%-web/', '^/wado$'},
}
-- The worker adds objects and sends them on; it deletes and changes nothing.
local WRITE = {
  worker = {'^/instances$', '^/modalities/[^/]+/store$', '^/dicom%-web/servers/[^/]+/stow$'},
}

local function listed(patterns, uri)
  for _, pattern in ipairs(patterns or {}) do
    if string.match(uri, pattern) then return true end
  end
  return false
end

function IncomingHttpRequestFilter(method, uri, ip, username, httpHeaders)
  if username == 'admin' then return true end
  if method == 'GET' then return listed(READ[username], uri) end
  return method == 'POST' and listed(WRITE[username], uri)
end
