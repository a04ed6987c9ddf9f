#!/usr/bin/env bash
# Prepare a Google Cloud project and a repository for nightly-gke.yml and sweep.yml: docs/howto/gke.md.
# Set PROJECT, BILLING (gcloud billing accounts list), REPOSITORY (OWNER/NAME), and ZONE and REGION if wanted.
set -euo pipefail
: "${PROJECT:?}" "${BILLING:?}" "${REPOSITORY:?}" "${REGION:=us-central1}" "${ZONE:=us-central1-a}"

# A project of its own, and a registry for images.
gcloud projects create "$PROJECT"
gcloud billing projects link "$PROJECT" --billing-account "$BILLING"
gcloud services enable --project "$PROJECT" container.googleapis.com compute.googleapis.com \
    artifactregistry.googleapis.com iamcredentials.googleapis.com sts.googleapis.com
gcloud artifacts repositories create perf --project "$PROJECT" --location "$REGION" --repository-format docker
REGISTRY="$REGION-docker.pkg.dev/$PROJECT/perf"

# The nodes' account: writes logs and metrics, reads images.
gcloud iam service-accounts create milo-perf-nodes --project "$PROJECT"
NODES="milo-perf-nodes@$PROJECT.iam.gserviceaccount.com"
gcloud projects add-iam-policy-binding "$PROJECT" --member "serviceAccount:$NODES" --role roles/container.defaultNodeServiceAccount
gcloud artifacts repositories add-iam-policy-binding perf --project "$PROJECT" --location "$REGION" \
    --member "serviceAccount:$NODES" --role roles/artifactregistry.reader

# The pipeline's account, with a role of its own:
#   container.clusters.create, container.clusters.get, container.clusters.list, container.operations.get: create or find a cluster
#   container.clusters.delete, container.clusters.connect: delete it, reach it by DNS
#   compute.disks.list, compute.disks.delete: left disks
#   compute.addresses.list, compute.addresses.delete,
#   compute.globalAddresses.list, compute.globalAddresses.delete: left addresses
#   compute.forwardingRules.list, compute.forwardingRules.delete,
#   compute.globalForwardingRules.list, compute.globalForwardingRules.delete: left load balancers
#   compute.firewalls.list, compute.firewalls.delete, compute.networks.updatePolicy: left firewall rules
gcloud iam service-accounts create milo-perf --project "$PROJECT"
ACCOUNT="milo-perf@$PROJECT.iam.gserviceaccount.com"
gcloud iam roles create miloPerf --project "$PROJECT" --permissions container.clusters.create,container.clusters.get,container.clusters.list,container.clusters.delete,container.clusters.connect,container.operations.get,compute.disks.list,compute.disks.delete,compute.addresses.list,compute.addresses.delete,compute.globalAddresses.list,compute.globalAddresses.delete,compute.forwardingRules.list,compute.forwardingRules.delete,compute.globalForwardingRules.list,compute.globalForwardingRules.delete,compute.firewalls.list,compute.firewalls.delete,compute.networks.updatePolicy
gcloud projects add-iam-policy-binding "$PROJECT" --member "serviceAccount:$ACCOUNT" --role "projects/$PROJECT/roles/miloPerf"
# Inside the cluster: namespaces, Secrets, network policies.
gcloud projects add-iam-policy-binding "$PROJECT" --member "serviceAccount:$ACCOUNT" --role roles/container.admin
# It may give nodes their account, and push images.
gcloud iam service-accounts add-iam-policy-binding "$NODES" --project "$PROJECT" \
    --member "serviceAccount:$ACCOUNT" --role roles/iam.serviceAccountUser
gcloud artifacts repositories add-iam-policy-binding perf --project "$PROJECT" --location "$REGION" \
    --member "serviceAccount:$ACCOUNT" --role roles/artifactregistry.writer

# GitHub without a key.  Repository and owner by number: a name can be taken over.  Only the default branch.
REPOSITORY_ID=$(gh api "repos/$REPOSITORY" --jq .id)
OWNER_ID=$(gh api "repos/$REPOSITORY" --jq .owner.id)
NUMBER=$(gcloud projects describe "$PROJECT" --format 'value(projectNumber)')
gcloud iam workload-identity-pools create github --project "$PROJECT" --location global
gcloud iam workload-identity-pools providers create-oidc milo-perf --project "$PROJECT" --location global \
    --workload-identity-pool github --issuer-uri https://token.actions.githubusercontent.com \
    --attribute-mapping "google.subject=assertion.sub,attribute.repository_id=assertion.repository_id" \
    --attribute-condition "assertion.repository_owner_id == '$OWNER_ID' && assertion.repository_id == '$REPOSITORY_ID' && assertion.ref == 'refs/heads/main' && assertion.environment == 'gke-nightly'"
gcloud iam service-accounts add-iam-policy-binding "$ACCOUNT" --project "$PROJECT" --role roles/iam.workloadIdentityUser \
    --member "principalSet://iam.googleapis.com/projects/$NUMBER/locations/global/workloadIdentityPools/github/attribute.repository_id/$REPOSITORY_ID"

# The repository's environment `gke-nightly` must exist, and only `main` may use it.
gh variable set GKE_ZONE --repo "$REPOSITORY" --body "$ZONE"
gh variable set GKE_NODE_ACCOUNT --repo "$REPOSITORY" --body "$NODES"
gh variable set GKE_ACCOUNT --repo "$REPOSITORY" --body "$ACCOUNT"
gh variable set GKE_REGISTRY --repo "$REPOSITORY" --body "$REGISTRY"
gh variable set GKE_PROVIDER --repo "$REPOSITORY" --body "projects/$NUMBER/locations/global/workloadIdentityPools/github/providers/milo-perf"
gh variable set GKE_BUDGET_USD --repo "$REPOSITORY" --body 10
gh variable set GKE_PROJECT --repo "$REPOSITORY" --body "$PROJECT" # last: it activates both workflows
