-- The token is new with each change of the object, so a click acts once.
local status = obj.status or {}
local version = ""
if status.candidate ~= nil then
  version = status.candidate.version
elseif obj.spec.model ~= nil then
  version = obj.spec.model.bento.version
end
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["sluicegate.dev/abort"] = version .. "/" .. obj.metadata.resourceVersion
return obj
